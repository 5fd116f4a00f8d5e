use super::*;
use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};

type Names = Arc<Mutex<Vec<(String, String)>>>;

fn stub() -> (Arc<DnsStub>, Names) {
    let names = Names::default();
    let seen = Arc::clone(&names);
    let on_query: OnQuery =
        Arc::new(move |name, kind| seen.lock().unwrap().push((name.into(), kind.into())));
    (DnsStub::new(on_query), names)
}

fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(77, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn code(answer: &[u8]) -> ResponseCode {
    Message::from_vec(answer).unwrap().metadata.response_code
}

#[tokio::test]
async fn every_name_is_nxdomain_over_udp_and_tcp_and_reported_once() {
    let (stub, names) = stub();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (udp_at, tcp_at) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(stub.serve(udp, Some(tcp), async move {
        stopped.await.ok();
    }));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(udp_at).await.unwrap();
    let mut buffer = [0; 1500];
    for kind in [RecordType::A, RecordType::A, RecordType::AAAA] {
        // Garbage before a query changes nothing.
        client.send(&[0xff; 40]).await.unwrap();
        client.send(&query("secret-data.evil.example.", kind)).await.unwrap();
        let length =
            timeout(Duration::from_secs(5), client.recv(&mut buffer)).await.unwrap().unwrap();
        let answer = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!((answer.metadata.id, answer.queries.len(), answer.answers.len()), (77, 1, 0));
    }
    let mut stream = TcpStream::connect(tcp_at).await.unwrap();
    let message = query("over.tcp.example.", RecordType::TXT);
    stream.write_u16(message.len().try_into().unwrap()).await.unwrap();
    stream.write_all(&message).await.unwrap();
    assert_eq!(code(&read_query(&mut stream).await.unwrap()), ResponseCode::NXDomain);
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    let expected = [
        ("secret-data.evil.example", "A"),
        ("secret-data.evil.example", "AAAA"),
        ("over.tcp.example", "TXT"),
    ];
    let expected: Vec<(String, String)> =
        expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(*names.lock().unwrap(), expected);
}

#[test]
fn garbage_is_answered_with_an_error_or_not_at_all_and_never_reported() {
    let (stub, names) = stub();
    for length in 0..300_usize {
        let garbage: Vec<u8> = (0..length).map(|i| u8::try_from(i * 37 % 127).unwrap()).collect();
        if let Some(answer) = stub.answer(&garbage) {
            assert_ne!(code(&answer), ResponseCode::NXDomain);
        }
    }
    let mut response = query("a.example.", RecordType::A);
    response[2] |= 0x80;
    assert_eq!(stub.answer(&response), None);
    let mut truncated = query("a.example.", RecordType::A);
    truncated.truncate(14);
    assert_eq!(code(&stub.answer(&truncated).unwrap()), ResponseCode::FormErr);
    assert!(names.lock().unwrap().is_empty());
    assert_eq!(
        code(&stub.answer(&query("a.example.", RecordType::A)).unwrap()),
        ResponseCode::NXDomain
    );
    assert_eq!(names.lock().unwrap().len(), 1);
}

#[test]
fn a_flood_of_names_is_reported_up_to_the_limit_and_all_are_answered() {
    let (stub, names) = stub();
    for index in 0..500 {
        let answer = stub.answer(&query(&format!("n{index}.example."), RecordType::A)).unwrap();
        assert_eq!(code(&answer), ResponseCode::NXDomain);
    }
    let reported = u32::try_from(names.lock().unwrap().len()).unwrap();
    assert!((1..=DNS_REPORTS_PER_SECOND * 3).contains(&reported), "{reported}");
}

#[test]
fn names_cannot_carry_control_characters_to_a_log() {
    assert_eq!(escaped([b"a\x1b[2J".as_slice(), b"b.c"].into_iter()), "a\\027\\0912J.b\\046c");
    assert_eq!(escaped(std::iter::empty()), ".");
}
