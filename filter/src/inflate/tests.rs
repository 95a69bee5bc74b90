use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, GzBuilder};

use super::*;
use crate::response::{BodyState, ResponseFacts, ResponseReader};
use crate::route::Api;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const BODY: &str =
    r#"{"model":"m","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":8}}"#;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn read(coding: &str, chunks: &[&[u8]]) -> ResponseFacts {
    let mut reader = ResponseReader::new(Api::Chat, Some(b"application/json"), Some(coding.as_bytes()));
    for chunk in chunks {
        reader.feed(chunk);
    }
    reader.finish();
    reader.facts()
}

/// Reads the body in one chunk, split in two at every position, and byte by byte.
fn read_all_ways(coding: &str, body: &[u8]) -> ResponseFacts {
    let unchunked = read(coding, &[body]);
    for at in 0..=body.len() {
        let (before, after) = body.split_at(at);
        assert_eq!(read(coding, &[before, after]), unchunked, "split at {at}");
    }
    assert_eq!(read(coding, &body.chunks(1).collect::<Vec<_>>()), unchunked);
    unchunked
}

fn plain() -> ResponseFacts {
    let facts = read("identity", &[BODY.as_bytes()]);
    assert_eq!((facts.usage.input, facts.usage.output), (Some(5), Some(8)));
    facts
}

#[test]
fn compressed_response_reports_the_facts_of_the_plain_one() {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(BODY.as_bytes()).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::none());
    raw.write_all(BODY.as_bytes()).unwrap();
    for (coding, body) in [
        ("gzip", gzip(BODY.as_bytes())),
        (" X-GZIP ", gzip(BODY.as_bytes())),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
    ] {
        assert_eq!(read_all_ways(coding, &body), plain(), "{coding}");
    }
}

#[test]
fn every_field_of_a_gzip_header_is_skipped() {
    let builder = GzBuilder::new().extra([1, 2, 3]).filename("a.json").comment("b");
    let mut encoder = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(BODY.as_bytes()).unwrap();
    let mut body = encoder.finish().unwrap();
    assert_eq!(read_all_ways("gzip", &body), plain());
    // The library writes no header checksum: insert one after the comment.
    let header = 10 + 2 + 3 + "a.json\0b\0".len();
    body[3] |= 2;
    body.splice(header..header, [9, 9]);
    assert_eq!(read_all_ways("gzip", &body), plain());
}

#[test]
fn members_are_concatenated_and_trailing_garbage_is_ignored() {
    let (first, second) = BODY.as_bytes().split_at(40);
    let mut body = [gzip(first), gzip(b""), gzip(second)].concat();
    assert_eq!(read_all_ways("gzip", &body), plain());
    body.extend_from_slice(b"garbage");
    assert_eq!(read_all_ways("gzip", &body), plain());
}

#[test]
fn flushed_events_are_read_at_once() {
    let mut reader = ResponseReader::new(Api::Chat, Some(b"text/event-stream"), Some(b"gzip"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for tokens in 1..100 {
        let event = format!("data: {{\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{tokens}}}}}\n\n");
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        reader.feed(&std::mem::take(encoder.get_mut()));
        assert_eq!(reader.facts().usage.output, Some(tokens));
    }
}

#[test]
fn one_chunk_may_inflate_to_many_windows() {
    let long = BODY.replacen("stop", &"stop".repeat(200_000), 1);
    let coded = gzip(long.as_bytes());
    assert!(coded.len() < 2_000);
    let facts = read("gzip", &[&coded]);
    assert_eq!((facts.usage.input, facts.usage.output), (Some(5), Some(8)));
    assert_eq!(read("gzip", &coded.chunks(1).collect::<Vec<_>>()), facts);
}

#[test]
fn body_that_does_not_match_its_coding_is_not_read() {
    for (coding, body) in [
        ("gzip", BODY.as_bytes()),
        ("gzip", &gzip(BODY.as_bytes())[1..]),
        ("deflate", b"\xff\xff\xff\xff"),
    ] {
        assert_eq!(read_all_ways(coding, body).body, BodyState::Encoded, "{coding}");
    }
    // Corrupt in the middle: the document before it is incomplete.
    let mut corrupt = gzip(&BODY.repeat(50).into_bytes());
    let middle = corrupt.len() / 2;
    corrupt[middle..].fill(0xff);
    assert_eq!(read("gzip", &[&corrupt]).usage.input, None);
}

#[test]
fn decompression_bomb_is_abandoned() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"{\"model\":\"m\",\"x\":\"").unwrap();
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..(MAX_INFLATED >> 20) + 10 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let mut reader = ResponseReader::new(Api::Chat, Some(b"application/json"), Some(b"gzip"));
    let mut fed = 0;
    for chunk in bomb.chunks(4096).cycle() {
        if !reader.wants_more() {
            break;
        }
        fed += chunk.len();
        reader.feed(chunk);
    }
    assert!(fed <= bomb.len(), "abandoned after {fed} of {} bytes", bomb.len());
    assert_eq!(reader.facts().body, BodyState::Encoded);
}
