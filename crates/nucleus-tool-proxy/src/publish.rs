//! Ports of the task's commands that the user asked for: a listener at 127.0.0.1 of this machine for each, whose
//! connections go to the loopback of the tool pods.
//!
//! Only the command line of `nucleus run` names ports. Bytes are passed on as they come, in buffers of fixed size, so
//! that whoever reads slowly is not read ahead for.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nucleus::{Feed, Recorder};
use nucleus_sandbox::Driver;
use nucleus_wire::control::{Failure, FailureClass, FeedEvent, FeedStatus, Publish};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections of one port at a time; further ones wait to be accepted.
const CONNECTIONS_COUNT: usize = 128;

/// A port that is listened at and not served yet.
#[derive(Debug)]
pub(crate) struct Published {
    publish: Publish,
    listener: TcpListener,
}

impl Published {
    /// What the user is told.
    pub(crate) fn note(&self) -> String {
        let Publish { host, pod } = self.publish;
        format!("http://127.0.0.1:{host} on this machine reaches port {pod} of the task's commands")
    }
}

/// Listens at every port, before anything of the task is made.
///
/// # Errors
/// A port is named twice or taken.
pub(crate) fn listen(wanted: &[Publish]) -> Result<Vec<Published>, Failure> {
    wanted.iter().map(|publish| listen_at(*publish)).collect()
}

fn listen_at(publish: Publish) -> Result<Published, Failure> {
    let port = publish.host;
    let failed = |error: std::io::Error| Failure {
        class: FailureClass::Usage,
        message: format!("--publish {port}: 127.0.0.1:{port} cannot be listened at: {error}"),
        hint: Some(format!(
            "choose another port of this machine with --publish HOSTPORT:{}, or end what listens there",
            publish.pod
        )),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(Published { publish, listener })
}

/// Where connections go, and who is told.
pub(crate) struct Relay {
    driver: Arc<dyn Driver>,
    recorder: Recorder,
    pub(crate) feed: Arc<dyn Feed>,
}

/// Serves one port until `stop` is ready. Open connections are then cut.
///
/// # Errors
/// The listener cannot be used.
pub(crate) async fn serve(
    published: Published,
    relay: Arc<Relay>,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let Published { publish, listener } = published;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    relay.note(publish, "open", &[]);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_COUNT));
    let silent = Arc::new(AtomicBool::new(false));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            () = &mut stop => break,
            (accepted, permit) = accept => match accepted {
                Ok((stream, _)) => {
                    let (relay, silent) = (Arc::clone(&relay), Arc::clone(&silent));
                    connections.spawn(async move {
                        relay.connection(publish, stream, &silent).await;
                        drop(permit);
                    });
                }
                // Out of descriptors, or reset before it was accepted: go on, but do not spin.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            },
        }
        while connections.try_join_next().is_some() {}
    }
    connections.shutdown().await;
    relay.note(publish, "closed", &[]);
    Ok(())
}

impl Relay {
    pub(crate) fn new(driver: Arc<dyn Driver>, recorder: Recorder, feed: Arc<dyn Feed>) -> Self {
        Self { driver, recorder, feed }
    }

    async fn connection(&self, publish: Publish, mut outside: TcpStream, silent: &AtomicBool) {
        let began = Instant::now();
        let driver = Arc::clone(&self.driver);
        let dialled = tokio::task::spawn_blocking(move || driver.dial(publish.pod)).await;
        let inside = match dialled {
            Ok(Ok(Some(stream))) => stream,
            // Said once: a browser asks again and again.
            Ok(Ok(None)) => {
                if !silent.swap(true, Ordering::Relaxed) {
                    self.show(publish, "nothing listens there yet");
                }
                return;
            }
            Ok(Err(_)) | Err(_) => return,
        };
        self.note(publish, "connected", &[]);
        let relayed = async {
            inside.set_nonblocking(true)?;
            let mut inside = TcpStream::from_std(inside)?;
            // Small answers must leave at once; a socket that refuses the option still works.
            let _delayed = (inside.set_nodelay(true), outside.set_nodelay(true));
            tokio::io::copy_bidirectional(&mut outside, &mut inside).await
        };
        // A connection that breaks is its two ends' affair.
        let (sent, received) = relayed.await.unwrap_or_default();
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.note(publish, "served", &[("sent", sent), ("received", received), ("ms", ms)]);
    }

    fn note(&self, publish: Publish, result: &str, numbers: &[(&str, u64)]) {
        let mut event = self.recorder.event("publish");
        event.target = Some(target(publish));
        event.result = Some(result.to_owned());
        for (name, number) in numbers {
            event.detail.insert((*name).to_owned(), (*number).into());
        }
        // A log that cannot be written denies every call by itself; who connects here is the user.
        let _poisoned = self.recorder.note(&event);
    }

    fn show(&self, publish: Publish, detail: &str) {
        self.feed.event(FeedEvent {
            call: 0,
            status: FeedStatus::Failed,
            tool: "publish".to_owned(),
            target: target(publish),
            rule: None,
            layer: None,
            detail: Some(detail.to_owned()),
            duration_ms: None,
        });
    }
}

fn target(publish: Publish) -> String {
    format!("127.0.0.1:{} to port {}", publish.host, publish.pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_with_its_remedy() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let host = taken.local_addr().unwrap().port();
        let failure = listen(&[Publish { host, pod: 3000 }]).unwrap_err();
        assert!(failure.message.contains(&format!("127.0.0.1:{host}")), "{failure:?}");
        assert!(failure.hint.unwrap().contains("HOSTPORT:3000"));
    }

    #[test]
    fn it_listens_at_the_loopback_address_and_nowhere_else() {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let host = free.local_addr().unwrap().port();
        drop(free);
        let listening = listen(&[Publish { host, pod: 1 }]).unwrap();
        let at = listening.first().unwrap().listener.local_addr().unwrap();
        assert_eq!(at, (Ipv4Addr::LOCALHOST, host).into());
        assert!(TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), host)).is_ok());
    }
}
