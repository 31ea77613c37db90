//! From flags, environment and configuration to how a source is read: window, sample, credentials.

use std::time::Duration;

use super::Request;
use super::named::is_local;
use crate::cli::args::{ConnectionArgs, Which};
use crate::cli::resume::Resume;
use crate::diag::Diagnostic;
use crate::source::{self, Keep, Sample, SourceOptions, Transport};
use crate::spans::UnixNanos;

/// How far back a backend is asked when nothing says so.
const DEFAULT_LOOKBACK: u64 = 7 * 86_400;

pub(in crate::cli) fn options(from: &str, request: &Request<'_>, threads: usize) -> Result<SourceOptions, Diagnostic> {
    let options = SourceOptions { window: window(from, request)?, threads, ..unwindowed(request)? };
    Ok(keyed(from, request, options))
}

/// With the key that a source takes from the environment.
pub(in crate::cli) fn keyed(from: &str, request: &Request<'_>, mut options: SourceOptions) -> SourceOptions {
    if let Some((variable, header)) = source::credential(from)
        && let Some(key) = request.around.env.get(variable).filter(|key| !key.trim().is_empty())
    {
        options.transport.headers.push((header.to_owned(), key.trim().to_owned()));
    }
    options
}

/// All that is asked of a connection, whatever the time.
pub(in crate::cli) fn unwindowed(request: &Request<'_>) -> Result<SourceOptions, Diagnostic> {
    let connection = request.connection;
    Ok(SourceOptions {
        timeout: Duration::from_secs(connection.timeout),
        query: connection.query.clone(),
        sample: sample(connection),
        rate_attribute: connection.rate_attribute.clone(),
        kept: request.kept.map(Resume::answers),
        transport: transport(request)?,
        ..SourceOptions::default()
    })
}

/// The sample asked for, if not all traces.
pub(super) fn sample(connection: &ConnectionArgs) -> Option<Sample> {
    let keep = match connection.sample {
        Which::Hash => Keep::Hash,
        Which::MostRecent => Keep::MostRecent,
    };
    connection.max_traces.filter(|most| *most > 0).map(|most| Sample { most, keep })
}

/// The window asked for. Files are read whole unless a window was typed: what is in them need not be recent.
fn window(from: &str, request: &Request<'_>) -> Result<Option<(UnixNanos, UnixNanos)>, Diagnostic> {
    let args = request.window;
    let typed = args.lookback.or(args.lookback_hours.map(|h| u64::from(h).saturating_mul(3_600)));
    let local = is_local(from);
    if local && typed.is_none() && args.start.is_none() && args.end.is_none() {
        return Ok(None);
    }
    let end = args.end.unwrap_or(request.around.now.0);
    let start = match (args.start, typed) {
        (Some(start), _) => start,
        // A file up to `--end`.
        (None, None) if local => 0,
        (None, typed) => {
            let seconds = typed.or(request.config.lookback_seconds).unwrap_or(DEFAULT_LOOKBACK);
            end.saturating_sub(seconds.saturating_mul(1_000_000_000))
        }
    };
    if start >= end {
        return Err(
            Diagnostic::error("window-empty", "the window ends before it starts").help("check --start and --end")
        );
    }
    source::clamp(from, (UnixNanos(start), UnixNanos(end)), request.around.now).map(Some)
}

/// Credentials from the environment, the rest from flags. No message repeats a value.
fn transport(request: &Request<'_>) -> Result<Transport, Diagnostic> {
    let env = |name: &str| request.around.env.get(name).filter(|v| !v.is_empty()).cloned();
    let args = request.connection;
    let basic =
        match env("TRACEBOOK_BASIC_AUTH").map(|text| text.split_once(':').map(|(u, p)| (u.to_owned(), p.to_owned()))) {
            None => None,
            Some(Some(pair)) => Some(pair),
            Some(None) => {
                return Err(Diagnostic::error(
                    "credentials-malformed",
                    "TRACEBOOK_BASIC_AUTH is not of the form user:password",
                )
                .help("set it to the user, a colon and the password"));
            }
        };
    let bearer = env("TRACEBOOK_BEARER_TOKEN").map(|t| t.trim().to_owned());
    if bearer.is_some() && basic.is_some() {
        return Err(Diagnostic::error(
            "credentials-malformed",
            "both TRACEBOOK_BEARER_TOKEN and TRACEBOOK_BASIC_AUTH are set",
        )
        .help("unset one of them"));
    }
    let headers = args
        .header
        .iter()
        .enumerate()
        .map(|(i, header)| {
            let pair = header.split_once('=').filter(|(name, _)| !name.trim().is_empty());
            pair.map(|(name, value)| (name.trim().to_owned(), value.to_owned())).ok_or_else(|| {
                let which = i.saturating_add(1);
                Diagnostic::error("header-malformed", format!("--header number {which} is not of the form NAME=VALUE"))
                    .help("write it like --header X-Team=sre")
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let dir = &request.around.dir;
    Ok(Transport {
        bearer,
        basic,
        tenant: args.tenant.clone().or_else(|| env("TRACEBOOK_TENANT")),
        headers,
        ca_file: args.ca_file.as_ref().map(|p| dir.join(p)),
        client_cert: args.client_cert.as_ref().zip(args.client_key.as_ref()).map(|(c, k)| (dir.join(c), dir.join(k))),
        server_name: args.server_name.clone(),
    })
}

#[cfg(test)]
pub(in crate::cli) mod testing {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Surroundings;
    use crate::cli::args::{Cli, Command};
    use crate::config::Config;

    /// Runs `check` on the request that a command line makes.
    pub(in crate::cli) fn with<T>(args: &[&str], env: &[(&str, &str)], check: impl FnOnce(&Request<'_>) -> T) -> T {
        let cli = Cli::try_parse_from([&["tracebook", "capture"], args].concat()).unwrap();
        let Command::Capture(capture) = &cli.command else { panic!("not capture") };
        let around = Surroundings {
            env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            now: UnixNanos(1_000_000 * 1_000_000_000),
            ..Surroundings::default()
        };
        let config = Config { lookback_seconds: Some(60), ..Config::default() };
        check(&Request::new(&around, &cli.global, &config, &capture.read))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::with;
    use super::*;

    fn seconds(args: &[&str], from: &str) -> Option<(u64, u64)> {
        with(args, &[], |r| window(from, r).unwrap()).map(|(a, b)| (a.0 / 1_000_000_000, b.0 / 1_000_000_000))
    }

    #[test]
    fn files_are_read_whole_and_backends_for_a_window() {
        assert_eq!(seconds(&[], "a.jsonl"), None);
        assert_eq!(
            seconds(&[], "tempo://t"),
            Some((999_940, 999_965)),
            "lookback of the configuration, less what Tempo cannot answer yet"
        );
        assert_eq!(seconds(&["--lookback", "1h"], "a.jsonl"), Some((996_400, 1_000_000)));
        assert_eq!(seconds(&["--lookback-hours", "168"], "tempo://t"), Some((395_200, 999_965)));
        assert_eq!(seconds(&["--end", "1970-01-02T00:00:00Z"], "a.jsonl"), Some((0, 86_400)));
        let both = ["--start", "1970-01-01T00:00:01Z", "--end", "1970-01-01T00:00:02+00:00"];
        assert_eq!(seconds(&both, "tempo://t"), Some((1, 2)));
        let empty = with(&["--start", "2026-01-01T00:00:00Z"], &[], |r| window("tempo://t", r).unwrap_err());
        assert_eq!(empty.code, "window-empty");
    }

    #[test]
    fn credentials_come_from_the_environment_and_are_never_repeated() {
        let env = [("TRACEBOOK_BASIC_AUTH", "ann:s3cret:x"), ("TRACEBOOK_TENANT", "shop")];
        let got = with(&["--header", "X-A= b=c"], &env, |r| transport(r).unwrap());
        assert_eq!(got.basic, Some(("ann".into(), "s3cret:x".into())));
        assert_eq!(
            (got.tenant.as_deref(), got.headers.as_slice()),
            (Some("shop"), &[("X-A".into(), " b=c".into())][..])
        );
        assert_eq!(with(&["--tenant", "x"], &env, |r| transport(r).unwrap()).tenant.as_deref(), Some("x"));
        for (args, env) in [
            (vec!["--header", "s3cret"], vec![]),
            (vec![], vec![("TRACEBOOK_BASIC_AUTH", "s3cret")]),
            (vec![], vec![("TRACEBOOK_BASIC_AUTH", "a:s3cret"), ("TRACEBOOK_BEARER_TOKEN", "s3cret")]),
        ] {
            let error = with(&args, &env, |r| transport(r).unwrap_err());
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
