//! A TCP proxy that spoils connections: it cuts, resets, stalls, trickles or corrupts what a played Tempo sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What happens to one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spoil {
    /// Closed after so many bytes of the server.
    Cut(usize),
    /// The same with a reset instead of an orderly end.
    Reset(usize),
    /// Nothing more comes after so many bytes, but the connection stays.
    Stall(usize),
    /// So many bytes at a time, 1 ms apart.
    Trickle(usize),
    /// From this byte of the server on, a few are flipped.
    Corrupt(usize),
    /// Accepted and closed without a word.
    Refuse,
}

/// A running proxy; its threads end with the connections.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    /// Spoils the first `bad` connections to `server`; the later ones pass as they are.
    pub(crate) fn start(server: SocketAddr, spoil: Spoil, bad: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let spoil = (count.fetch_add(1, Ordering::SeqCst) < bad).then_some(spoil);
                thread::spawn(move || carry(client, server, spoil));
            }
        });
        Self { address, connections }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn carry(client: TcpStream, server: SocketAddr, spoil: Option<Spoil>) {
    if matches!(spoil, Some(Spoil::Refuse)) {
        return;
    }
    let Ok(server) = TcpStream::connect(server) else { return };
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    back(server, client, spoil);
}

/// From the server to the client.
fn back(mut server: TcpStream, mut client: TcpStream, spoil: Option<Spoil>) {
    let mut buffer = [0u8; 4096];
    let mut passed = 0usize;
    loop {
        let n = match server.read(&mut buffer) {
            Ok(n) if n > 0 => n,
            _ => break,
        };
        let chunk = &mut buffer[..n];
        let room = |at: usize| at.saturating_sub(passed).min(n);
        match spoil {
            Some(Spoil::Cut(at) | Spoil::Reset(at) | Spoil::Stall(at)) if passed + n > at => {
                let _ = client.write_all(&chunk[..room(at)]);
                match spoil {
                    Some(Spoil::Stall(_)) => thread::sleep(Duration::from_secs(60)),
                    // Closing with bytes unread resets the connection.
                    Some(Spoil::Reset(_)) => drop(client),
                    _ => drop(client.shutdown(std::net::Shutdown::Both)),
                }
                return;
            }
            Some(Spoil::Trickle(most)) => {
                for part in chunk.chunks(most) {
                    if client.write_all(part).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            }
            Some(Spoil::Corrupt(at)) if passed + n > at => {
                let from = room(at);
                chunk[from..].iter_mut().step_by(97).for_each(|byte| *byte ^= 0x55);
                let _ = client.write_all(chunk);
            }
            _ => {
                if client.write_all(chunk).is_err() {
                    break;
                }
            }
        }
        passed += n;
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
}
