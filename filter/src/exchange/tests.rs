use super::*;

const GONE: Ending = Ending {
    status: None,
    client_left: true,
};
const BROKEN: Ending = Ending {
    status: None,
    client_left: false,
};
const SSE: Option<&[u8]> = Some(b"text/event-stream");
const FINISHED: &[u8] = b"data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
const ERROR: &[u8] = b"data: {\"error\":{}}\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";

fn exchange() -> Exchange {
    let mut exchange = Exchange::new(Api::Chat, 1_000, None);
    exchange.request_end();
    exchange
}

fn stream(chunks: &[&[u8]]) -> Exchange {
    let mut exchange = exchange();
    exchange.response_headers(200, SSE, None);
    for chunk in chunks {
        assert!(exchange.response_body(chunk.len()));
        exchange.read_response(chunk);
    }
    exchange
}

fn outcome(mut exchange: Exchange, ending: Ending) -> Outcome {
    exchange.end(5_000, ending).outcome
}

fn whole(mut exchange: Exchange) -> Outcome {
    exchange.response_end(2_000);
    outcome(exchange, BROKEN)
}

#[test]
fn a_bad_status_is_the_earliest_cause() {
    let mut answered = exchange();
    answered.response_headers(503, SSE, None);
    assert_eq!(outcome(answered, GONE), Outcome::Failed(ErrorCode::ServiceUnavailable));
    // Envoy knows a status that never passed the filter.
    let ending = Ending {
        status: Some(504),
        client_left: false,
    };
    assert_eq!(outcome(exchange(), ending), Outcome::Failed(ErrorCode::Timeout));
}

#[test]
fn an_error_event_beats_whatever_comes_later() {
    assert_eq!(
        whole(stream(&[ERROR, FINISHED, DONE])),
        Outcome::Failed(ErrorCode::StreamError)
    );
    assert_eq!(outcome(stream(&[ERROR]), GONE), Outcome::Failed(ErrorCode::StreamError));
    assert_eq!(
        outcome(stream(&[ERROR]), BROKEN),
        Outcome::Failed(ErrorCode::StreamError)
    );
}

#[test]
fn a_stream_is_good_with_its_end_marker_or_a_finish_reason() {
    assert_eq!(whole(stream(&[FINISHED, DONE])), Outcome::Success);
    assert_eq!(whole(stream(&[FINISHED])), Outcome::Success);
    assert_eq!(whole(stream(&[DONE])), Outcome::Success);
    assert_eq!(whole(stream(&[b"data: {}\n\n"])), Outcome::Failed(ErrorCode::Truncated));
    assert_eq!(whole(stream(&[])), Outcome::Failed(ErrorCode::Truncated));
}

#[test]
fn who_leaves_before_the_end_is_told_apart() {
    for begun in [exchange as fn() -> Exchange, || stream(&[]), || stream(&[FINISHED])] {
        assert_eq!(outcome(begun(), GONE), Outcome::ClientLeft);
        assert_eq!(outcome(begun(), BROKEN), Outcome::Failed(ErrorCode::UpstreamReset));
    }
    // With the end marker the answer was whole.
    assert_eq!(outcome(stream(&[DONE]), GONE), Outcome::Success);
    assert_eq!(outcome(stream(&[DONE]), BROKEN), Outcome::Success);
}

#[test]
fn an_answer_that_is_no_stream_or_can_not_be_read_is_good_when_it_is_whole() {
    let mut json = exchange();
    json.response_headers(200, Some(b"application/json"), None);
    assert_eq!(whole(json), Outcome::Success);
    let mut encoded = exchange();
    encoded.response_headers(200, SSE, Some(b"br"));
    assert_eq!(whole(encoded), Outcome::Success);
    let mut redirect = exchange();
    redirect.response_headers(307, None, None);
    assert_eq!(whole(redirect), Outcome::Success);
}

#[test]
fn the_duration_ends_with_the_answer_or_the_abort() {
    let mut answered = stream(&[DONE]);
    answered.response_end(2_000);
    answered.response_end(3_000);
    assert_eq!(answered.end(5_000, BROKEN).duration_ns, 1_000);
    assert_eq!(stream(&[]).end(5_000, GONE).duration_ns, 4_000);
    assert_eq!(exchange().end(0, GONE).duration_ns, 0);
}

#[test]
fn bytes_are_counted_even_when_they_are_not_read() {
    let mut exchange = Exchange::new(Api::Audio, 0, None);
    assert!(!exchange.request_body(700));
    exchange.request_end();
    exchange.response_headers(500, None, None);
    assert!(!exchange.response_body(30));
    assert!(!exchange.response_body(4));
    let ended = exchange.end(1, BROKEN);
    assert_eq!((ended.request_bytes, ended.answer_bytes), (700, 34));
}

#[test]
fn the_model_is_asked_for_once_the_request_is_whole() {
    let mut exchange = Exchange::new(Api::Chat, 0, Some(Vec::new()));
    exchange.read_request(b"{\"model\":\"m\"}");
    assert_eq!(exchange.asked(), Asked::NotYet);
    assert_eq!(exchange.asked_so_far(), Some(b"m".as_slice()));
    exchange.request_end();
    exchange.request_end();
    assert_eq!(exchange.asked(), Asked::Model(b"m"));
    assert_eq!(exchange.target(), None, "an empty header names nobody");
}
