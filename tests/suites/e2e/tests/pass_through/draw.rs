//! Proptest strategies for cases: valid HTTP with whatever clients and servers might send in it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::cases::{Body, Case, Cut, Framing, Half};
use crate::client::Client;

const METHODS: [&str; 10] = [
    "POST", "POST", "POST", "POST", "GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH",
];
const PATHS: [&str; 12] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/chat/completions?a=%20&model=/v1/x",
    "/a/b/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/audio/transcriptions",
    "/v1/models",
    "/tokenize",
    "/",
    "/%7Ea/..;b//c?d=%23",
];
const PARTS: [&str; 25] = [
    "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":true}",
    "{\"model\":\"",
    "tiny\",\"choices\":[{\"finish_reason\":\"stop\"}],",
    "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8}}",
    "{\"error\":{\"message\":\"no\"}}",
    "data: {\"model\":\"tiny\",\"choices\":[{\"delta\":{\"content\":\"é🦀\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8}}\n\n",
    "data: [DONE]\n\n",
    "data:{}\r\n\r\n",
    "data: \r\r",
    "event: error\ndata: died\n\n",
    ": ping\n\n",
    "\u{feff}",
    "[[[[[[[[{\"a\":",
    "\\u0000\\ud83d",
    "\"",
    "\\",
    "}",
    "1e999,-0,",
    "\n",
    "\r",
    "\u{0}\u{1}\u{7f}",
    "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n",
    " ",
    "",
];
/// Media types, valid and invalid ones.
const TYPES: [&str; 8] = [
    "application/json",
    "application/json; charset=utf-8",
    "text/event-stream",
    "Text/Event-Stream;charset=UTF-8",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "",
];
const NAMES: [&str; 14] = [
    "content-type",
    "content-type",
    "content-encoding",
    "x-a",
    "x-a",
    "X-Mixed-Case",
    "authorization",
    "cookie",
    "set-cookie",
    "accept",
    "cache-control",
    "x-accel-buffering",
    "etag",
    "x-target-model",
];

fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let header = select(&NAMES[..]).prop_flat_map(|name| {
        let value = match name {
            "content-type" => select(&TYPES[..]).prop_map(str::to_owned).boxed(),
            "content-encoding" => select(&["gzip", "identity", "br", "x"][..])
                .prop_map(str::to_owned)
                .boxed(),
            _ => "([!-~]([ -~\t]{0,40}[!-~])?)?".boxed(),
        };
        value.prop_map(move |value| (name, value))
    });
    vec(header, 0..6)
}

fn body() -> impl Strategy<Value = Body> {
    let length = prop_oneof![1 => Just(0), 3 => 1usize..300, 3 => 300usize..20_000, 2 => 20_000usize..200_000, 1 => 200_000usize..=1_000_000];
    let noise = prop_oneof![3 => Just(None), 1 => any::<u64>().prop_map(Some)];
    (vec(select(&PARTS[..]), 1..8), noise, any::<bool>(), 0..4, length).prop_map(|(parts, noise, _, gzip, length)| {
        Body {
            parts,
            noise,
            gzip: gzip == 0,
            length,
        }
    })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1usize..8, 8usize..300, 300usize..20_000], 1..5)
}

fn framing() -> impl Strategy<Value = Framing> {
    let trailer = (select(&["x-trailer", "x-other"][..]), "[!-~]{1,20}");
    prop_oneof![
        sizes().prop_map(Framing::Length),
        (sizes(), vec(trailer, 0..3)).prop_map(|(sizes, trailers)| Framing::Chunked(sizes, trailers)),
    ]
}

fn half(framing: impl Strategy<Value = Framing>) -> impl Strategy<Value = Half> {
    (headers(), body(), framing).prop_map(|(headers, body, framing)| Half { headers, body, framing })
}

/// Any case of this client.
pub fn cases(client: Client) -> impl Strategy<Value = Case> {
    let status = prop_oneof![
        3 => Just(200),
        2 => select(&[201, 204, 206, 299, 301, 304, 400, 404, 418, 429, 500, 503][..])
    ];
    let cut = option::weighted(
        0.3,
        prop_oneof![
            (0usize..1000).prop_map(Cut::Client),
            Just(Cut::HalfClose),
            (0usize..1000).prop_map(Cut::Server),
        ],
    );
    let response = prop_oneof![3 => framing(), 1 => Just(Framing::Close)];
    (
        select(&METHODS[..]),
        select(&PATHS[..]),
        half(framing()),
        status,
        half(response),
        cut,
    )
        .prop_map(move |(method, path, mut request, status, response, cut)| {
            // HTTP/1.0 has no chunks, and HTTP/2 no half-closed connections.
            if client == Client::Http10
                && let Framing::Chunked(sizes, _) = request.framing
            {
                request.framing = Framing::Length(sizes);
            }
            let cut = cut.filter(|cut| client != Client::Http2 || !matches!(cut, Cut::HalfClose));
            Case {
                client,
                method,
                path,
                request,
                status,
                response,
                cut,
            }
        })
}
