//! TLS to the provider, and the host's proxy on the way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use nucleus_gate::{ConfigError, GateConfig, ModelGate, Origin, PriceTable, ProxyRules, Roots};
use testkit::anthropic::Mock;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{Book, Entry, KEY, Served, body, key, mock, status};

/// Ends TLS for `name` and passes the plain bytes to the stand-in. Returns its address and its CA in PEM.
async fn tls_front(name: &str, mock: &Mock) -> (SocketAddr, String) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let private =
        rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let target = mock.address();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut tls) = acceptor.accept(stream).await {
                    let mut plain = TcpStream::connect(target).await.unwrap();
                    copy_bidirectional(&mut tls, &mut plain).await.ok();
                }
            });
        }
    });
    (address, certified.cert.pem())
}

/// A CONNECT proxy that answers with `answer` and then tunnels to `target`. Returns the heads it received.
async fn proxy(answer: &'static str, target: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.starts_with("HTTP/1.1 200") {
                let mut onward = TcpStream::connect(target).await.unwrap();
                tokio::spawn(
                    async move { copy_bidirectional(&mut stream, &mut onward).await.ok() },
                );
            }
        }
    });
    (address, heads)
}

fn config(origin: &str, roots: Roots) -> GateConfig {
    GateConfig::new(Origin::parse(origin).unwrap(), key(), PriceTable::builtin().unwrap(), roots)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_a_ca_of_its_own_is_reached_by_tls() {
    let mock = mock("{\"turns\":[{\"text\":\"over tls\"}]}");
    let (address, pem) = tls_front("localhost", &mock).await;
    let origin = format!("https://localhost:{}", address.port());
    let gate = Served::new(
        config(&origin, Roots::only(pem.as_bytes()).unwrap()),
        Book::with_cost(1_000_000),
    );
    let answer = gate.post(&body("")).await;
    assert!(status(&answer) == 200 && answer.contains("over tls"), "{answer}");
    assert_eq!(mock.requests()[0].headers["host"], format!("localhost:{}", address.port()));
}

#[tokio::test(flavor = "multi_thread")]
async fn untrusted_and_misnamed_certificates_are_refused_before_anything_is_sent() {
    let mock = mock("{\"turns\":[]}");
    let (address, pem) = tls_front("localhost", &mock).await;
    let (_, other_pem) = tls_front("localhost", &mock).await;
    let port = address.port();
    for (origin, pem) in [
        (format!("https://localhost:{port}"), other_pem),
        (format!("https://127.0.0.1:{port}"), pem),
    ] {
        let gate = Served::new(
            config(&origin, Roots::only(pem.as_bytes()).unwrap()),
            Book::with_cost(1_000_000),
        );
        let answer = gate.post(&body("")).await;
        assert!(status(&answer) == 502 && answer.contains("TLS"), "{answer}");
        let settled = gate.book.wait(|e| matches!(e, Entry::Settled(_))).await;
        assert!(matches!(settled, Entry::Settled(usage) if usage.cost_micro_usd == 0));
    }
    assert!(mock.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_through_the_hosts_proxy_and_only_the_proxy_sees_its_password() {
    let mock = mock("{\"turns\":[{\"text\":\"tunnelled\"}]}");
    // A name that does not resolve: only the proxy can reach it.
    let (front, pem) = tls_front("model.provider.invalid", &mock).await;
    let (address, heads) =
        proxy("HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n", front).await;
    let rules =
        ProxyRules::parse(Some(&format!("http://user:hunter2@{address}")), Some("other.invalid"))
            .unwrap();
    let roots = Roots::only(pem.as_bytes()).unwrap();
    let config = config("https://model.provider.invalid", roots).with_proxy(rules);
    let gate = Served::new(config, Book::with_cost(1_000_000));
    let answer = gate.post(&body("")).await;
    assert!(status(&answer) == 200 && answer.contains("tunnelled"), "{answer}");
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("CONNECT model.provider.invalid:443 HTTP/1.1\r\n"), "{head}");
    // base64 of user:hunter2
    assert!(head.contains("Proxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n"), "{head}");
    assert!(!head.contains(KEY), "the proxy never sees the key");
    let sent = format!("{:?}", mock.requests());
    assert!(
        !sent.contains("dXNlcjpodW50ZXIy") && !sent.to_lowercase().contains("proxy-auth"),
        "{sent}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_named_by_status_and_nothing_else() {
    let mock = mock("{\"turns\":[]}");
    let (address, heads) =
        proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", mock.address()).await;
    let rules = ProxyRules::parse(Some(&format!("http://user:hunter2@{address}")), None).unwrap();
    let config =
        config("https://model.provider.invalid", Roots::load(None).unwrap()).with_proxy(rules);
    let gate = Served::new(config, Book::with_cost(1_000_000));
    let answer = gate.post(&body("")).await;
    assert!(status(&answer) == 502 && answer.contains("status 407"), "{answer}");
    for secret in ["hunter2", "dXNlcjpodW50ZXIy", "provider.invalid", &address.to_string(), KEY] {
        assert!(
            !answer.contains(secret) && !gate.book.text().contains(secret),
            "{secret}: {answer}"
        );
    }
    assert_eq!(heads.lock().unwrap().len(), 1);
    assert!(mock.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_beyond_this_machine_needs_a_key_and_roots() {
    let make = |config| ModelGate::new(config, Arc::new(Book::with_cost(0))).err();
    let mut keyless = config("https://model.provider.invalid", Roots::load(None).unwrap());
    keyless.key = None;
    assert!(matches!(make(keyless), Some(ConfigError::NoKey)));
    let rootless = config("https://model.provider.invalid", Roots::none());
    assert!(matches!(make(rootless), Some(ConfigError::NoRoots)));
    assert!(matches!(Roots::only(b"garbage"), Err(ConfigError::ExtraRoots)));
    let mut local = config("http://127.0.0.1:9", Roots::none());
    local.key = None;
    assert!(make(local).is_none());
}
