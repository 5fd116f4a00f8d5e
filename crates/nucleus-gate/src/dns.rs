//! A DNS server for pods that have no network: every name is answered at once with NXDOMAIN, and nothing is ever forwarded.
//!
//! NXDOMAIN rather than REFUSED: resolvers take it as final, while REFUSED makes them wait and ask the next server.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::{
    DNS_NAMES_COUNT, DNS_QUERY_BYTES, DNS_REPORTS_PER_SECOND, DNS_TCP_CONNECTIONS_COUNT,
    DNS_TCP_TIME,
};

/// Told about a name that was asked for: the name, escaped, and the type of record.
pub type OnQuery = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Answers NXDOMAIN to everything.
pub struct DnsStub {
    on_query: OnQuery,
    reported: Mutex<Reported>,
}

struct Reported {
    seen: BTreeSet<(String, String)>,
    second: Instant,
    in_second: u32,
}

impl DnsStub {
    /// A stub that reports each distinct pair of name and record type to `on_query`: at most 20 per second and 1,024 in
    /// all, so that a flood of names cannot flood the log. `on_query` must not block for long.
    #[must_use]
    pub fn new(on_query: OnQuery) -> Arc<Self> {
        let reported = Reported { seen: BTreeSet::new(), second: Instant::now(), in_second: 0 };
        Arc::new(Self { on_query, reported: Mutex::new(reported) })
    }

    /// Serves a UDP socket, and a TCP listener where there is one, until `shutdown` is ready.
    ///
    /// # Errors
    /// Unavailable: a socket cannot be used.
    pub async fn serve(
        self: Arc<Self>,
        udp: std::net::UdpSocket,
        tcp: Option<std::net::TcpListener>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        udp.set_nonblocking(true)?;
        let udp = UdpSocket::from_std(udp)?;
        let tcp = match tcp {
            Some(listener) => {
                listener.set_nonblocking(true)?;
                Some(TcpListener::from_std(listener)?)
            }
            None => None,
        };
        tokio::select! {
            () = shutdown => Ok(()),
            () = self.serve_udp(udp) => Ok(()),
            () = Arc::clone(&self).serve_tcp(tcp) => Ok(()),
        }
    }

    async fn serve_udp(&self, socket: UdpSocket) {
        let mut buffer = vec![0; DNS_QUERY_BYTES];
        loop {
            match socket.recv_from(&mut buffer).await {
                Ok((length, from)) => {
                    let answer = self.answer(buffer.get(..length).unwrap_or_default());
                    if let Some(answer) = answer {
                        // A client that cannot be answered asks again or gives up.
                        socket.send_to(&answer, from).await.ok();
                    }
                }
                // An ICMP error of an earlier answer; the socket itself still works.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    async fn serve_tcp(self: Arc<Self>, listener: Option<TcpListener>) {
        let Some(listener) = listener else { return std::future::pending().await };
        let permits = Arc::new(Semaphore::new(DNS_TCP_CONNECTIONS_COUNT));
        // Dropped with this future, so that no connection outlives the stub.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let stub = Arc::clone(&self);
                    connections.spawn(async move {
                        stub.connection(stream).await.ok();
                        drop(permit);
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            while connections.try_join_next().is_some() {}
        }
    }

    async fn connection(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let query = timeout(DNS_TCP_TIME, read_query(&mut stream)).await??;
            let Some(answer) = self.answer(&query) else { return Ok(()) };
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            let framed = [length.to_be_bytes().as_slice(), &answer].concat();
            timeout(DNS_TCP_TIME, stream.write_all(&framed)).await??;
        }
    }

    /// The answer to one message; `None` for what deserves none.
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let Ok(message) = Message::from_vec(query) else {
            return form_error(query);
        };
        if message.metadata.message_type != MessageType::Query {
            return None;
        }
        let (id, op_code) = (message.metadata.id, message.metadata.op_code);
        if op_code != OpCode::Query {
            return Message::error_msg(id, op_code, ResponseCode::NotImp).to_vec().ok();
        }
        let [question] = message.queries.as_slice() else {
            return Message::error_msg(id, op_code, ResponseCode::FormErr).to_vec().ok();
        };
        let name = escaped(question.name.iter());
        self.report(name, question.query_type.to_string());
        let mut answer = Message::error_msg(id, op_code, ResponseCode::NXDomain);
        answer.metadata.recursion_desired = message.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_query(question.clone());
        answer.to_vec().ok()
    }

    fn report(&self, name: String, kind: String) {
        {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            if reported.second.elapsed() >= Duration::from_secs(1) {
                reported.second = Instant::now();
                reported.in_second = 0;
            }
            let spent = reported.in_second >= DNS_REPORTS_PER_SECOND;
            if spent || reported.seen.len() >= DNS_NAMES_COUNT {
                return;
            }
            if !reported.seen.insert((name.clone(), kind.clone())) {
                return;
            }
            reported.in_second = reported.in_second.saturating_add(1);
        }
        (self.on_query)(&name, &kind);
    }
}

async fn read_query(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > DNS_QUERY_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut query = vec![0; length];
    stream.read_exact(&mut query).await?;
    Ok(query)
}

/// FORMERR for what has at least an id and is a query; silence for the rest.
fn form_error(query: &[u8]) -> Option<Vec<u8>> {
    let (high, low, flags) = (query.first()?, query.get(1)?, query.get(2)?);
    if flags & 0x80 != 0 {
        return None;
    }
    let id = u16::from_be_bytes([*high, *low]);
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
}

/// Labels joined by dots, everything but letters, digits, `-` and `_` as `\ddd`. A name has at most 255 bytes.
fn escaped<'a>(labels: impl Iterator<Item = &'a [u8]>) -> String {
    let mut out = String::new();
    for (index, label) in labels.enumerate() {
        if index > 0 {
            out.push('.');
        }
        for byte in label {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                    out.push(char::from(*byte))
                }
                other => out.push_str(&format!("\\{other:03}")),
            }
        }
    }
    if out.is_empty() { ".".to_owned() } else { out }
}

#[cfg(test)]
mod tests;
