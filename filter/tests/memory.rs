//! The memory bound of one exchange for hostile input, and the allocations of a steady stream, measured with a counting
//! allocator.
#![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test helper fails the test"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

use infertally_filter::exchange::{Exchange, MAX_INFLATING_BYTES, MAX_STATE_BYTES};
use infertally_filter::inflate::{MAX_INFLATERS, MAX_INFLATERS_BYTES};
use infertally_filter::route::Api;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is forwarded unchanged to the system allocator; the counters are thread-local.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.get() + layout.size();
        NOW.set(now);
        PEAK.set(PEAK.get().max(now));
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller upholds the contract of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.set(NOW.get().saturating_sub(layout.size()));
        // SAFETY: the caller upholds the contract of this call.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const MIB: usize = 1024 * 1024;

/// Peak heap use of an exchange with these bodies; each part of the response is repeated.
fn peak(api: Api, content_type: &str, coding: Option<&str>, request: &[&[u8]], response: &[(&[u8], usize)]) -> usize {
    let before = NOW.get();
    PEAK.set(before);
    let mut exchange = Box::new(Exchange::new(api, 0, None));
    for part in request {
        exchange.read_request(part);
    }
    exchange.request_end();
    exchange.response_headers(200, Some(content_type.as_bytes()), coding.map(str::as_bytes));
    for (part, times) in response {
        for _ in 0..*times {
            if exchange.response_body(part.len()) {
                exchange.read_response(part);
            }
        }
    }
    PEAK.get() - before
}

fn repeated(part: &str, size: usize) -> Vec<u8> {
    part.repeat(size / part.len()).into_bytes()
}

#[test]
fn large_request_and_json_response() {
    let words = repeated(r#"words and \"quotes\" and \u00fc "#, MIB);
    let lists = repeated(r#"[1.5,-2e9,{"a":null}],"#, MIB);
    let request: Vec<&[u8]> = [&b"{\"messages\":\""[..]]
        .into_iter()
        .chain(std::iter::repeat_n(&words[..], 50))
        .collect();
    let held = peak(
        Api::Chat,
        "application/json",
        None,
        &request,
        &[
            (b"{\"model\":\"", 1),
            (&words, 100),
            (b"\",\"choices\":[", 1),
            (&lists, 100),
        ],
    );
    assert!(held <= MAX_STATE_BYTES / 4, "{held} bytes");
}

#[test]
fn long_stream_and_large_events() {
    let events = repeated(
        "data: {\"model\":\"tiny\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" a\"}}]}\n\n",
        MIB,
    );
    let words = repeated("words ", MIB);
    for api in [Api::Chat, Api::Completions, Api::Responses, Api::Messages] {
        let held = peak(
            api,
            "text/event-stream",
            None,
            &[b"{}"],
            &[
                (&events, 20),
                (b"data: {\"model\":\"", 1),
                (&words, 50),
                (b"\"}\n\nevent: ", 1),
                (&words, 20),
                (b"\n", 1),
                (&words, 20),
                (b": x\n: ", 1),
                (&words, 20),
            ],
        );
        assert!(held <= MAX_STATE_BYTES / 4, "{held} bytes, {api:?}");
    }
}

/// An event of each API that a running stream sends, once for each token.
#[test]
fn event_of_a_steady_stream_allocates_nothing() {
    for (api, event) in [
        (
            Api::Chat,
            r#"{"id":"chatcmpl-b6778d8a15685785","object":"chat.completion.chunk","created":1795491032,"model":"tiny","choices":[{"index":0,"delta":{"content":" \"(\u00fc"},"logprobs":null,"finish_reason":null,"token_ids":[17,4]}],"usage":{"prompt_tokens":5,"total_tokens":13,"completion_tokens":8}}"#,
        ),
        (
            Api::Completions,
            r#"{"id":"cmpl-b6778d8a15685785","object":"text_completion","created":1795491032,"model":"tiny","choices":[{"index":0,"text":" (","logprobs":null,"finish_reason":null,"stop_reason":null}],"usage":null}"#,
        ),
        (
            Api::Responses,
            r#"{"type":"response.output_text.delta","content_index":0,"delta":" (","item_id":"msg_1","logprobs":[],"output_index":0,"sequence_number":5}"#,
        ),
        (
            Api::Messages,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" ("}}"#,
        ),
    ] {
        let event = format!("event: delta\ndata: {event}\n\n").into_bytes();
        let mut exchange = Exchange::new(api, 0, None);
        exchange.read_request(b"{}");
        exchange.request_end();
        exchange.response_headers(200, Some(b"text/event-stream"), None);
        // The second one is cut in the last value, which needs a buffer the first time.
        for size in [event.len(), event.len() - 8] {
            let mut receive = || {
                for chunk in event.chunks(size) {
                    assert!(exchange.response_body(chunk.len()));
                    exchange.read_response(chunk);
                }
            };
            receive();
            let before = ALLOCATIONS.get();
            for _ in 0..1000 {
                receive();
            }
            assert_eq!(ALLOCATIONS.get() - before, 0, "{api:?} in chunks of {size} bytes");
        }
    }
}

#[test]
fn hostile_events() {
    let choices = repeated(r#"{"index":7,"finish_reason":"stop","token_ids":[1,2]},"#, MIB);
    let spread: String = (0..100_000)
        .map(|index| format!(r#"{{"index":{index},"finish_reason":"stop"}},"#))
        .collect();
    let deep = "[".repeat(5 * MIB).into_bytes();
    let held = peak(
        Api::Chat,
        "text/event-stream",
        None,
        &[&deep],
        &[
            (b"data: {\"choices\":[", 1),
            (&choices, 20),
            (spread.as_bytes(), 1),
            (b"{}]}\n\ndata: ", 1),
            (&deep, 1),
        ],
    );
    assert!(held <= MAX_STATE_BYTES, "{held} bytes");
}

#[test]
fn large_form() {
    let noise: Vec<u8> = (0..MIB).map(|index| ((index * 7919) >> 3) as u8).collect();
    let mut form: Vec<&[u8]> = vec![b"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"];
    form.extend(std::iter::repeat_n(&noise[..], 25));
    form.push(b"\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n");
    form.extend(std::iter::repeat_n(&noise[..], 2));
    form.push(b"\r\n--b--\r\n");
    let held = peak(Api::Audio, "application/json", None, &form, &[(b"{}", 1)]);
    assert!(held <= MAX_STATE_BYTES / 4, "{held} bytes");
}

#[test]
fn compressed_response() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(b"{\"model\":\"m\",\"x\":\"").unwrap();
    for _ in 0..100 {
        encoder.write_all(&repeated("words ", MIB)).unwrap();
    }
    let compressed = encoder.finish().unwrap();
    let held = peak(
        Api::Chat,
        "application/json",
        Some("gzip"),
        &[b"{}"],
        &[(&compressed, 1)],
    );
    assert!(held > MAX_STATE_BYTES && held <= MAX_INFLATING_BYTES, "{held} bytes");
}

#[test]
fn concurrent_compressed_exchanges_share_a_bound() {
    const EXCHANGES: usize = 20_000;
    const EVENT: &[u8] = b"data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(EVENT).unwrap();
    encoder.flush().unwrap();
    let compressed = encoder.get_ref().clone();
    let exchange = |coding: Option<&str>| {
        let mut exchange = Box::new(Exchange::new(Api::Chat, 0, None));
        exchange.request_encoding(coding.map(str::as_bytes));
        exchange.read_request(b"{}");
        exchange.request_end();
        exchange.response_headers(200, Some(b"text/event-stream"), coding.map(str::as_bytes));
        exchange
    };
    let plain = {
        let before = NOW.get();
        let mut exchange = exchange(None);
        exchange.read_response(EVENT);
        NOW.get() - before
    };
    let before = NOW.get();
    let mut exchanges = Vec::new();
    let mut inflating = 0;
    for _ in 0..EXCHANGES {
        let mut exchange = exchange(Some("gzip"));
        exchange.read_response(&compressed);
        inflating += usize::from(exchange.response_body(1));
        exchanges.push(exchange);
    }
    let held = NOW.get() - before;
    println!("{held} bytes, {plain} for a plain exchange, {inflating} inflaters");
    assert_eq!(inflating, MAX_INFLATERS);
    // The exchanges themselves, and twice a pointer for each in the test's own list.
    assert!(held <= EXCHANGES * (plain + 32) + MAX_INFLATERS_BYTES, "{held} bytes");
    // An exchange that ends makes room for another one.
    exchanges.truncate(MAX_INFLATERS / 2);
    let mut next = exchange(Some("deflate"));
    next.read_response(b"\x78");
    assert!(next.response_body(1));
}
