//! From what answered to what to type, and what to change. Pure.

use super::address::Address;
use super::{Access, Answer, Door, DoorState, Service};
use crate::diag::{Diagnostic, Location};

/// One refusal stands for the port when a proxy refuses every service alike.
pub(super) fn settle(answers: &mut Vec<Answer>) {
    let specific = answers.iter().any(|a| !matches!(a.service, Service::Http | Service::Grpc));
    let all_denied = answers.iter().all(|a| a.access == Access::Denied);
    let grpc_denied = |a: &Answer| {
        a.access == Access::Denied && matches!(a.service, Service::TempoGrpc | Service::JaegerGrpc | Service::OtlpGrpc)
    };
    if all_denied && answers.iter().filter(|a| grpc_denied(a)).count() > 1 {
        // Whatever is asked for is refused: nothing tells which of them is there.
        answers.truncate(1);
        if let Some(first) = answers.first_mut() {
            first.service = Service::Grpc;
        }
    } else if specific {
        answers.retain(|a| !matches!(a.service, Service::Http | Service::Grpc));
    }
}

fn has(door: &Door, service: Service) -> bool {
    door.answers.iter().any(|a| a.service == service && a.access == Access::Open)
}

/// What can be given as `--from` for a port, given the others.
pub(super) fn sources(address: &Address, door: &Door, doors: &[Door]) -> Vec<String> {
    let (host, port) = (&address.host, door.port);
    let tls = door.state == DoorState::Tls;
    let mut out = Vec::new();
    if has(door, Service::TempoGrpc) {
        let beside =
            doors.iter().find(|d| d.port != port && has(d, Service::TempoHttp) && (d.state == DoorState::Tls) == tls);
        match (tls, has(door, Service::TempoHttp), beside) {
            (true, false, Some(http)) => {
                out.push(format!("tempo+https://{host}:{port}?http=https://{host}:{}", http.port));
            }
            (false, false, Some(http)) if http.port != 3200 => {
                out.push(format!("tempo://{host}:{port}?http={host}:{}", http.port));
            }
            (false, true, _) => out.push(format!("tempo+http://{host}:{port}")),
            // Without an HTTP side what needs no trace by id: counts, and with luck a pull.
            (true, ..) => out.push(format!("tempo+https://{host}:{port}")),
            (false, ..) => out.push(format!("tempo://{host}:{port}")),
        }
    }
    let kinds = [(Service::JaegerGrpc, "jaeger"), (Service::Prometheus, "prometheus")];
    for (_, scheme) in kinds.into_iter().filter(|(service, _)| has(door, *service)) {
        out.push(format!("{scheme}{}://{host}:{port}", if tls { "+https" } else { "" }));
    }
    out.retain(|from| crate::source::known(from));
    out
}

/// Whether nothing of what a port offers is missing elsewhere.
pub(super) fn complete(address: &Address, door: &Door, doors: &[Door]) -> bool {
    let halved = has(door, Service::TempoGrpc) && !doors.iter().any(|d| has(d, Service::TempoHttp));
    !halved && !sources(address, door, doors).is_empty()
}

/// What is wrong, and what to do, after what was found while connecting.
pub(super) fn findings(
    address: &Address,
    doors: &[Door],
    sources: &[String],
    mut out: Vec<Diagnostic>,
) -> Vec<Diagnostic> {
    for door in doors {
        let at = Location::file(format!("{}:{}", address.host, door.port));
        if let Some((code, what, help)) = of_state(door.state) {
            out.push(Diagnostic::error(code, what).at(at.clone()).help(help));
        }
        for answer in &door.answers {
            if let Some((code, what, help)) = of_access(answer) {
                // Two services of one server say the same.
                let said = Diagnostic::error(code, what).at(at.clone()).help(help);
                if !out.contains(&said) {
                    out.push(said);
                }
            }
        }
        let told =
            out.iter().any(|d| d.location.file.as_ref().is_some_and(|f| f.ends_with(&format!(":{}", door.port))));
        let works = sources.iter().any(|s| s.contains(&format!(":{}", door.port)));
        if !works && !told && door.named {
            out.extend(
                of_kind(door).map(|(code, what, help)| {
                    Diagnostic::error(code, what).at(at.clone()).help(elsewhere(help, sources))
                }),
            );
        }
    }
    if doors.is_empty() {
        out.push(
            Diagnostic::error("doctor-nothing", "nobody listens on any port that trace backends use")
                .at(Location::file(&address.host))
                .help("name the port: tracebook doctor HOST:PORT"),
        );
    }
    let tempo_without_grpc =
        doors.iter().any(|d| has(d, Service::TempoHttp)) && !doors.iter().any(|d| has(d, Service::TempoGrpc));
    if tempo_without_grpc {
        out.push(
            Diagnostic::error("doctor-tempo-grpc", "Tempo's HTTP API answers, its gRPC query service does not")
                .at(Location::file(&address.host))
                .help("open its gRPC port (9095), or set `stream_over_http_enabled: true` in Tempo's configuration"),
        );
    }
    let grpc_without_http =
        doors.iter().any(|d| has(d, Service::TempoGrpc)) && !doors.iter().any(|d| has(d, Service::TempoHttp));
    if grpc_without_http {
        out.push(
            Diagnostic::warning("doctor-tempo-http", "Tempo's gRPC query service answers, its HTTP API was not found here")
                .at(Location::file(&address.host))
                .help(
                    "counts (capture --aggregate) can be had without it; a pull of traces that fail, have links or are long needs it: open \
                     port 3200, or name it: tempo://HOST:PORT?http=HOST:PORT",
                ),
        );
    }
    out
}

fn elsewhere(help: &str, sources: &[String]) -> String {
    match sources.first() {
        Some(source) => format!("use --from {source}"),
        None => help.to_owned(),
    }
}

pub(super) type Said = (&'static str, &'static str, &'static str);

pub(super) fn of_state(state: DoorState) -> Option<Said> {
    match state {
        DoorState::Refused => Some((
            "doctor-refused",
            "nobody listens on this port",
            "check the port, and that the server runs and listens on this address rather than on localhost alone",
        )),
        DoorState::Silent => Some((
            "doctor-silent",
            "the connection is neither taken nor refused",
            "a firewall or network policy swallows it, or the host is down; try from where the server is reached",
        )),
        DoorState::Mute => Some((
            "doctor-mute",
            "the connection is taken, and not a word comes back",
            "look whether the server hangs or waits for another protocol; a proxy may have nobody behind it",
        )),
        _ => None,
    }
}

fn of_access(answer: &Answer) -> Option<Said> {
    match answer.access {
        // Honeycomb alone wants one, and says what to do.
        Access::Open | Access::KeyMissing => None,
        Access::TenantMissing => Some((
            "doctor-tenant",
            "it serves several tenants and wants to know which",
            "give --tenant ID, or set TRACEBOOK_TENANT",
        )),
        Access::Denied => Some((
            "doctor-credentials",
            "it wants other credentials than were given",
            "set TRACEBOOK_BEARER_TOKEN or TRACEBOOK_BASIC_AUTH, or give --header or --client-cert",
        )),
        Access::NotReady => Some((
            "doctor-not-ready",
            "it is there, but does not answer questions now",
            "wait until it has started; behind a proxy, check that the server it leads to runs",
        )),
    }
}

/// What a named port is instead of a source.
fn of_kind(door: &Door) -> Option<Said> {
    if has(door, Service::OtlpGrpc) || has(door, Service::OtlpHttp) {
        return Some((
            "doctor-ingest",
            "this port takes spans in; no questions can be asked there",
            "find where the spans go from here: a Tempo (9095, 3200), a Jaeger (16685) or a file; to take them in yourself: \
             tracebook capture --from otlp://HOST:PORT",
        ));
    }
    if has(door, Service::JaegerHttp) {
        return Some((
            "doctor-jaeger-ui",
            "this is Jaeger's user interface",
            "ask Jaeger's query service over gRPC: port 16685",
        ));
    }
    if has(door, Service::Grafana) {
        return Some((
            "doctor-grafana",
            "this is a Grafana, not the backend behind it",
            "ask the Tempo, Jaeger or Prometheus that Grafana's data source names",
        ));
    }
    let stranger =
        door.answers.is_empty() || has(door, Service::Http) || has(door, Service::Grpc) || has(door, Service::Zipkin);
    (stranger && !matches!(door.state, DoorState::Refused | DoorState::Silent | DoorState::Mute)).then_some((
        "doctor-unknown",
        "what answers here is no backend that tracebook can read",
        "check host and port; behind a proxy, give the path that leads to the backend",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(port: u16, state: DoorState, services: &[Service]) -> Door {
        let answers =
            services.iter().map(|s| Answer { service: *s, access: Access::Open, detail: String::new() }).collect();
        Door { port, named: true, state, answers }
    }

    fn verdict(doors: &[Door]) -> (Vec<String>, Vec<&'static str>) {
        let address = Address::parse("h").unwrap();
        let sources: Vec<String> = doors.iter().flat_map(|d| sources(&address, d, doors)).collect();
        let codes = findings(&address, doors, &sources, Vec::new()).into_iter().map(|d| d.code).collect();
        (sources, codes)
    }

    #[test]
    fn a_tempo_is_named_by_the_ports_it_answers_at() {
        let both = [Service::TempoHttp, Service::TempoGrpc];
        assert_eq!(verdict(&[door(3200, DoorState::Http, &both)]), (vec!["tempo+http://h:3200".to_owned()], vec![]));
        assert_eq!(verdict(&[door(443, DoorState::Tls, &both)]).0, ["tempo+https://h:443"]);
        let http = door(3200, DoorState::Http, &[Service::TempoHttp]);
        let mut grpc = door(9095, DoorState::Http2, &[Service::TempoGrpc]);
        assert_eq!(verdict(&[grpc.clone(), http.clone()]).0, ["tempo://h:9095"]);
        grpc.port = 19095;
        assert_eq!(verdict(&[grpc.clone(), http.clone()]).0, ["tempo://h:19095"]);
        assert!(verdict(&[http]).1.contains(&"doctor-tempo-grpc"));
        let alone = verdict(&[grpc]);
        assert_eq!(alone, (vec!["tempo://h:19095".to_owned()], vec!["doctor-tempo-http"]));
    }

    #[test]
    fn what_is_no_source_says_what_it_is() {
        for (port, service, code) in [
            (4317, Service::OtlpGrpc, "doctor-ingest"),
            (16686, Service::JaegerHttp, "doctor-jaeger-ui"),
            (3000, Service::Grafana, "doctor-grafana"),
            (80, Service::Http, "doctor-unknown"),
        ] {
            assert_eq!(verdict(&[door(port, DoorState::Http, &[service])]), (vec![], vec![code]), "{port}");
        }
        assert_eq!(verdict(&[door(1, DoorState::Refused, &[])]).1, ["doctor-refused"]);
        assert_eq!(verdict(&[door(1, DoorState::Silent, &[])]).1, ["doctor-silent"]);
        assert_eq!(verdict(&[door(1, DoorState::Mute, &[])]).1, ["doctor-mute"]);
    }

    #[test]
    fn a_proxy_that_refuses_everything_is_one_refusal() {
        let denied = |service| Answer { service, access: Access::Denied, detail: String::new() };
        let mut answers = vec![denied(Service::TempoGrpc), denied(Service::JaegerGrpc), denied(Service::OtlpGrpc)];
        settle(&mut answers);
        assert_eq!(answers, [denied(Service::Grpc)]);
    }
}
