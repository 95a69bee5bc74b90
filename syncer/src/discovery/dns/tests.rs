use std::net::Ipv4Addr;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch as state};

use super::*;

/// A resolver of a name server that responds with these addresses, or with this code.
async fn name_server(records: state::Receiver<Result<Vec<IpAddr>, ResponseCode>>) -> Resolver {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        loop {
            let (length, client) = socket.recv_from(&mut bytes).await.unwrap();
            let request = Message::from_vec(&bytes[..length]).unwrap();
            let mut response = Message::response(request.metadata.id, request.metadata.op_code);
            let question = request.queries[0].clone();
            match records.borrow().clone() {
                Ok(addresses) => {
                    for address in addresses {
                        let data = match (address, question.query_type()) {
                            (IpAddr::V4(address), RecordType::A) => RData::A(address.into()),
                            (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA(address.into()),
                            _ => continue,
                        };
                        response.add_answer(Record::from_rdata(question.name().clone(), 30, data));
                    }
                }
                Err(code) => response.metadata.response_code = code,
            }
            response.queries.push(question);
            socket.send_to(&response.to_vec().unwrap(), client).await.unwrap();
        }
    });
    let mut connection = ConnectionConfig::udp();
    connection.port = address.port();
    let server = NameServerConfig::new(address.ip(), true, vec![connection]);
    Resolver::with(ResolverConfig::from_parts(None, Vec::new(), vec![server])).unwrap()
}

#[test]
fn a_name_is_a_host_and_a_port() {
    let name: DnsName = "vllm.default.svc:8000".parse().unwrap();
    assert_eq!((name.host.as_str(), name.port), ("vllm.default.svc", 8000));
    for text in [
        "",
        "vllm",
        "vllm:",
        ":8000",
        "vllm:0",
        "vllm:65536",
        "http://vllm:8000",
        "a:b:1",
        "vllm:8000/metrics",
    ] {
        assert_eq!(
            text.parse::<DnsName>().unwrap_err().to_string(),
            format!("invalid DNS name {text:?}: expected HOST:PORT")
        );
    }
}

#[tokio::test]
async fn every_address_is_a_target_and_a_name_without_addresses_is_an_empty_pool() {
    let addresses = |texts: &[&str]| Ok(texts.iter().map(|text| text.parse().unwrap()).collect());
    let (records, received) = state::channel(addresses(&["10.0.0.2", "10.0.0.1"]));
    let resolver = name_server(received).await;
    let name = DnsName {
        host: "vllm.test.".to_owned(),
        port: 8000,
    };
    let scheme = Scheme::HTTPS;
    for (response, expected) in [
        (
            addresses(&["10.0.0.2", "10.0.0.1"]),
            Some(vec!["10.0.0.1:8000", "10.0.0.2:8000"]),
        ),
        // Dual stack: each pod has an address of both families.
        (addresses(&["10.0.0.2", "fd00::2"]), Some(vec!["10.0.0.2:8000"])),
        (addresses(&["fd00::2"]), Some(vec!["[fd00::2]:8000"])),
        (addresses(&[]), Some(vec![])),
        (Err(ResponseCode::NXDomain), Some(vec![])),
        (Err(ResponseCode::ServFail), None),
        (Err(ResponseCode::Refused), None),
    ] {
        records.send(response.clone()).unwrap();
        let (out, mut discovered) = mpsc::channel(1);
        let watching = tokio::spawn(watch(name.clone(), scheme.clone(), resolver.clone(), out));
        match (discovered.recv().await.unwrap(), expected) {
            (Discovered::Targets(targets), Some(expected)) => {
                assert_eq!(targets.iter().map(|target| &*target.name).collect::<Vec<_>>(), expected);
                for target in targets {
                    assert_eq!(target.url.unwrap().to_string(), format!("{scheme}://{}/", target.name));
                }
            }
            (Discovered::Failing { why }, None) => assert!(why.starts_with("DNS vllm.test.: "), "{why}"),
            (sent, _) => panic!("{response:?} gave {sent:?}"),
        }
        drop(discovered);
        watching.await.unwrap();
    }
}
