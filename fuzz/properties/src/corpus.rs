//! The seeds of every target, made of the captures in `tests/fixtures` and of `handmade` responses. Those of the syncer's
//! targets are in `syncer`.

mod syncer;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use infertally_filter::route::Routes;

use crate::body::HEADER;
use crate::handmade::{HandmadeResponse, RESPONSES};
use crate::program::{Event, PATHS, STATUSES};
use crate::request::APIS;
use crate::response::CONTENT_TYPES;

/// An input and the name of what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// A file name.
    pub name: String,
    /// The bytes for [`Target::check`](crate::Target).
    pub input: Vec<u8>,
}

/// An exchange. The numbers are indexes of the lists that a byte chooses from.
#[derive(Debug)]
struct Capture {
    name: String,
    path: u8,
    api: u8,
    request: Vec<u8>,
    status: u8,
    content_type: u8,
    response: Vec<u8>,
}

/// The seeds of a target.
///
/// # Errors
/// If the captures cannot be read.
pub fn seeds(target: &str) -> std::io::Result<Vec<Seed>> {
    let mut seeds: Vec<Seed> = Vec::new();
    let mut add = |name: String, input: Vec<u8>| {
        if !seeds.iter().any(|seed| seed.input == input) {
            seeds.push(Seed { name, input });
        }
    };
    syncer::add_seeds(target, &mut add)?;
    let handmade = RESPONSES.iter().filter_map(Capture::from_handmade);
    for capture in captures()?.into_iter().chain(handmade) {
        let Capture {
            name,
            request,
            response,
            ..
        } = &capture;
        match target {
            "json" => {
                add(format!("{name}.req"), with_header(&[], request));
                if !capture.is_stream() {
                    add(format!("{name}.resp"), with_header(&[], response));
                }
                for (index, event) in infertally_oracle::sse::events(response).into_iter().enumerate() {
                    add(format!("{name}.{index}"), with_header(&[], &event.data));
                }
            }
            "sse" if capture.is_stream() => add(name.clone(), with_header(&[], response)),
            "request" => {
                add(name.clone(), with_header(&[capture.api, 0], request));
                add(format!("{name}.gz"), with_header(&[capture.api, 1], &gzip(request)?));
            }
            "response" => {
                let kind = |coding| [capture.api, capture.content_type, coding];
                add(name.clone(), with_header(&kind(0), response));
                add(format!("{name}.gz"), with_header(&kind(1), &gzip(response)?));
            }
            "exchange" => add(name.clone(), capture.program()),
            _ => {}
        }
    }
    Ok(seeds)
}

/// The inputs that once violated a property of a target: the files of `fuzz/regressions/TARGET`.
///
/// # Errors
/// If they cannot be read.
pub fn regressions(target: &str) -> std::io::Result<Vec<Seed>> {
    let folder = root().join("fuzz/regressions").join(target);
    files(&folder)?
        .into_iter()
        .map(|path| {
            Ok(Seed {
                name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                input: fs::read(&path)?,
            })
        })
        .collect()
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a directory, sorted by name; none if it does not exist.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// An input whose body is neither cut nor repeated.
fn with_header(chosen: &[u8], body: &[u8]) -> Vec<u8> {
    [chosen, &[0; HEADER], body].concat()
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// A content type without its parameters.
fn media_type(content_type: Option<&str>) -> Option<&str> {
    content_type.map(|value| value.split(';').next().unwrap_or(value))
}

fn captures() -> std::io::Result<Vec<Capture>> {
    let mut captures = Vec::new();
    for folder in files(&root().join("tests/fixtures"))? {
        for file in files(&folder)? {
            if file.extension().is_some_and(|extension| extension == "resp") {
                captures.extend(Capture::parse(
                    &file,
                    &fs::read(file.with_extension("req"))?,
                    &fs::read(&file)?,
                ));
            }
        }
    }
    Ok(captures)
}

// === impl Capture ===

impl Capture {
    /// `None` if the filter does not measure it.
    fn parse(file: &Path, request: &[u8], response: &[u8]) -> Option<Self> {
        let (request_head, request) = split_head(request)?;
        let (response_head, response) = split_head(response)?;
        let path = request_head.split(' ').nth(1)?;
        let api = Routes::default().api(b"POST", path.as_bytes())?;
        let status: u16 = response_head.split(' ').nth(1)?.parse().ok()?;
        let response_head = response_head.to_ascii_lowercase();
        let content_type = response_head
            .lines()
            .find_map(|line| line.strip_prefix("content-type: "));
        let chunked = response_head.contains("transfer-encoding: chunked");
        Some(Self {
            name: file.file_stem()?.to_string_lossy().into_owned(),
            path: index_in(&PATHS, |known| *known == path)?,
            api: index_in(&APIS, |known| *known == api)?,
            request: request.to_vec(),
            status: index_in(&STATUSES, |known| *known == status)?,
            content_type: index_in(&CONTENT_TYPES, |known| media_type(*known) == media_type(content_type))?,
            response: shortened(if chunked {
                dechunked(response)
            } else {
                response.to_vec()
            }),
        })
    }

    /// The request names just a model for a stream; for a document it is the document itself.
    fn from_handmade(response: &HandmadeResponse) -> Option<Self> {
        let HandmadeResponse {
            name,
            api,
            is_stream,
            body,
        } = *response;
        let content_type = |known: &Option<&str>| known.is_some_and(|known| known.starts_with("text/") == is_stream);
        let request = if is_stream { r#"{"model":"tiny"}"# } else { body };
        Some(Self {
            name: name.to_owned(),
            path: index_in(&PATHS, |path| {
                Routes::default().api(b"POST", path.as_bytes()) == Some(api)
            })?,
            api: index_in(&APIS, |known| *known == api)?,
            request: request.into(),
            status: index_in(&STATUSES, |known| *known == 200)?,
            content_type: index_in(&CONTENT_TYPES, content_type)?,
            response: body.into(),
        })
    }

    fn is_stream(&self) -> bool {
        CONTENT_TYPES
            .get(usize::from(self.content_type))
            .is_some_and(|known| known.is_some_and(|known| known.starts_with("text/event")))
    }

    /// The exchange twice: the second time on another worker, with a target model header, and cancelled by the client.
    fn program(&self) -> Vec<u8> {
        let Self {
            name: _,
            api: _,
            path,
            request,
            status,
            content_type,
            response,
        } = self;
        let mut input = vec![6, 4];
        for stream in 0..2 {
            let end = stream == 0;
            let half = response.len().min(0xffff) / 2;
            let (first, second) = response.split_at_checked(half).unwrap_or_default();
            let request_headers = Event::RequestHeaders {
                stream,
                worker: stream,
                path: *path,
                target: stream,
                end: false,
            };
            let request_body = Event::RequestBody {
                stream,
                end: true,
                bytes: request,
            };
            let response_headers = Event::ResponseHeaders {
                stream,
                status: *status,
                content_type: *content_type,
                coding: 0,
                end: false,
            };
            request_headers.write(&mut input);
            request_body.write(&mut input);
            Event::Pass { bits: 28 }.write(&mut input);
            response_headers.write(&mut input);
            Event::ResponseBody {
                stream,
                end: false,
                bytes: first,
            }
            .write(&mut input);
            Event::Pass { bits: 30 }.write(&mut input);
            Event::ResponseBody {
                stream,
                end,
                bytes: if end { second } else { &[] },
            }
            .write(&mut input);
            Event::Beat { worker: stream }.write(&mut input);
            Event::Log {
                stream,
                status: 0,
                client_disconnects: !end,
            }
            .write(&mut input);
        }
        input
    }
}

fn split_head(message: &[u8]) -> Option<(&str, &[u8])> {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((std::str::from_utf8(message.get(..end)?).ok()?, message.get(end + 4..)?))
}

/// The contents of the complete chunks.
fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = rest
            .get(..end)
            .and_then(|size| usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok());
        let Some(chunk) = size.and_then(|size| rest.get(end + 2..end + 2 + size)) else {
            break;
        };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + chunk.len()..).unwrap_or_default();
    }
    body
}

/// A long stream without its middle, where all events are alike: small inputs are fast.
fn shortened(body: Vec<u8>) -> Vec<u8> {
    let ends = body
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == b"\n\n")
        .map(|(at, _)| at + 2);
    let ends: Vec<usize> = ends.collect();
    match ends.as_slice() {
        [_, head, middle @ .., _, _, _] => {
            let tail = middle.last().unwrap_or(head);
            [body.get(..*head), body.get(*tail..)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .concat()
        }
        _ => body,
    }
}

fn index_in<T>(list: &[T], is: impl Fn(&T) -> bool) -> Option<u8> {
    list.iter().position(is).and_then(|at| u8::try_from(at).ok())
}
