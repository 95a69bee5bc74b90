//! The bound on what one exchange holds, measured with an allocator that counts: whatever the bytes, and however many.
#![allow(unsafe_code, reason = "an allocator can't be written without")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

use infertally_filter::exchange::{Exchange, MAX_INFLATING_BYTES, MAX_STATE_BYTES};
use infertally_filter::route::Api;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all is handed on to the system's allocator as it came; beside it only numbers of this thread change.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.get() + layout.size();
        NOW.set(now);
        PEAK.set(PEAK.get().max(now));
        // SAFETY: the caller's promise is this call's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.set(NOW.get().saturating_sub(layout.size()));
        // SAFETY: the caller's promise is this call's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

const MIB: usize = 1024 * 1024;

/// The most bytes that an exchange held while it read these.
fn peak(api: Api, kind: &str, coding: Option<&str>, request: &[&[u8]], answer: &[(&[u8], usize)]) -> usize {
    let before = NOW.get();
    PEAK.set(before);
    let mut exchange = Box::new(Exchange::new(api, 0, None));
    for part in request {
        exchange.read_request(part);
    }
    exchange.request_end();
    exchange.response_headers(200, Some(kind.as_bytes()), coding.map(str::as_bytes));
    for (part, times) in answer {
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
fn a_request_and_a_json_answer_of_any_size() {
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
fn a_stream_of_any_length_and_events_of_any_size() {
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
        assert!(held <= MAX_STATE_BYTES / 4, "{held} bytes of {api:?}");
    }
}

#[test]
fn events_that_are_made_to_cost() {
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
fn a_coded_answer() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(b"{\"model\":\"m\",\"x\":\"").unwrap();
    for _ in 0..100 {
        encoder.write_all(&repeated("words ", MIB)).unwrap();
    }
    let coded = encoder.finish().unwrap();
    let held = peak(Api::Chat, "application/json", Some("gzip"), &[b"{}"], &[(&coded, 1)]);
    assert!(held > MAX_STATE_BYTES && held <= MAX_INFLATING_BYTES, "{held} bytes");
}
