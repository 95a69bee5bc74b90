//! Inputs to begin with, made of the captures in `tests/fixtures` and of answers that were made up.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use infertally_filter::route::Routes;

use crate::body::HEADER;
use crate::exchange::{PATHS, STATUSES};
use crate::handmade::{ANSWERS, Answer};
use crate::lora_config::FILES;
use crate::program::Event;
use crate::request::APIS;
use crate::response::CONTENT_TYPES;

/// An input and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// A file's name.
    pub name: String,
    /// The input.
    pub input: Vec<u8>,
}

/// A request and its answer, as far as a seed needs them.
#[derive(Debug)]
struct Capture {
    name: String,
    path: u8,
    api: u8,
    request: Vec<u8>,
    status: u8,
    content_type: u8,
    answer: Vec<u8>,
}

/// The inputs of a target.
///
/// # Errors
/// If the captures can't be read.
pub fn seeds(target: &str) -> std::io::Result<Vec<Seed>> {
    let mut seeds: Vec<Seed> = Vec::new();
    let mut add = |name: String, input: Vec<u8>| {
        if !seeds.iter().any(|seed| seed.input == input) {
            seeds.push(Seed { name, input });
        }
    };
    match target {
        "lora_config" => FILES
            .iter()
            .for_each(|(name, file)| add((*name).to_owned(), with_header(&[], file.as_bytes()))),
        "lora_models" => lists()?
            .into_iter()
            .for_each(|(name, list)| add(name, with_header(&[], &list))),
        _ => {}
    }
    let answers = captures()?.into_iter().chain(ANSWERS.iter().filter_map(Capture::of));
    for capture in answers {
        let Capture {
            name, request, answer, ..
        } = &capture;
        match target {
            "json" => {
                add(format!("{name}.req"), with_header(&[], request));
                if !capture.is_stream() {
                    add(format!("{name}.resp"), with_header(&[], answer));
                }
                for (index, event) in infertally_oracle::sse::events(answer).into_iter().enumerate() {
                    add(format!("{name}.{index}"), with_header(&[], &event.data));
                }
            }
            "sse" if capture.is_stream() => add(name.clone(), with_header(&[], answer)),
            "request" => add(name.clone(), with_header(&[capture.api], request)),
            "response" => {
                let kind = |coding| [capture.api, capture.content_type, coding];
                add(name.clone(), with_header(&kind(0), answer));
                add(format!("{name}.gz"), with_header(&kind(1), &gzip(answer)?));
            }
            "exchange" => add(name.clone(), capture.program()),
            _ => {}
        }
    }
    Ok(seeds)
}

/// The inputs that once broke a property of a target, and must not again: the files of `fuzz/regressions/TARGET`.
///
/// # Errors
/// If they can't be read.
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

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a folder by name; none if there is no folder.
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

/// An input whose body is not cut or stretched.
fn with_header(chosen: &[u8], body: &[u8]) -> Vec<u8> {
    [chosen, &[0; HEADER], body].concat()
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// What servers answered that were asked for their models.
fn lists() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut lists = Vec::new();
    for file in files(&root().join("tests/fixtures/vllm-0.32.0"))? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("models") && name.ends_with(".resp") {
            let answer = fs::read(&file)?;
            lists.extend(split_head(&answer).map(|(_, body)| (name, body.to_vec())));
        }
    }
    Ok(lists)
}

fn captures() -> std::io::Result<Vec<Capture>> {
    let mut captures = Vec::new();
    for folder in files(&root().join("tests/fixtures"))? {
        for answer in files(&folder)? {
            if answer.extension().is_some_and(|extension| extension == "resp") {
                captures.extend(Capture::parse(
                    &answer,
                    &fs::read(answer.with_extension("req"))?,
                    &fs::read(&answer)?,
                ));
            }
        }
    }
    Ok(captures)
}

// === impl Capture ===

impl Capture {
    /// `None` for what is not measured.
    fn parse(file: &Path, request: &[u8], answer: &[u8]) -> Option<Self> {
        let (request_head, request) = split_head(request)?;
        let (answer_head, answer) = split_head(answer)?;
        let path = request_head.split(' ').nth(1)?;
        let api = Routes::default().api(b"POST", path.as_bytes())?;
        let status: u16 = answer_head.split(' ').nth(1)?.parse().ok()?;
        let content_type = answer_head.lines().find_map(|line| line.strip_prefix("content-type: "));
        let chunked = answer_head.contains("transfer-encoding: chunked");
        Some(Self {
            name: file.file_stem()?.to_string_lossy().into_owned(),
            path: number(&PATHS, |known| *known == path)?,
            api: number(&APIS, |known| *known == api)?,
            request: request.to_vec(),
            status: number(&STATUSES, |known| *known == status)?,
            content_type: number(&CONTENT_TYPES, |known| *known == content_type)?,
            answer: shortened(if chunked { dechunked(answer) } else { answer.to_vec() }),
        })
    }

    /// What asks for the answer says no more than a model; where the answer is a document, that one.
    fn of(made: &Answer) -> Option<Self> {
        let Answer {
            name,
            api,
            is_stream,
            body,
        } = *made;
        let content_type = |known: &Option<&str>| known.is_some_and(|known| known.starts_with("text/") == is_stream);
        let request = if is_stream { r#"{"model":"tiny"}"# } else { body };
        Some(Self {
            name: name.to_owned(),
            path: number(&PATHS, |path| {
                Routes::default().api(b"POST", path.as_bytes()) == Some(api)
            })?,
            api: number(&APIS, |known| *known == api)?,
            request: request.into(),
            status: number(&STATUSES, |known| *known == 200)?,
            content_type: number(&CONTENT_TYPES, content_type)?,
            answer: body.into(),
        })
    }

    fn is_stream(&self) -> bool {
        CONTENT_TYPES
            .get(usize::from(self.content_type))
            .is_some_and(|known| known.is_some_and(|known| known.starts_with("text/event")))
    }

    /// The exchange twice, the second time on another worker, with a name of the serving model, and given up by the
    /// client.
    fn program(&self) -> Vec<u8> {
        let Self {
            name: _,
            api: _,
            path,
            request,
            status,
            content_type,
            answer,
        } = self;
        let mut input = vec![6, 4];
        for stream in 0..2 {
            let end = stream == 0;
            let half = answer.len().min(0xffff) / 2;
            let (first, second) = answer.split_at_checked(half).unwrap_or_default();
            let begin = Event::RequestHeaders {
                stream,
                worker: stream,
                path: *path,
                target: stream,
                end: false,
            };
            let body = Event::RequestBody {
                stream,
                end: true,
                bytes: request,
            };
            let headers = Event::ResponseHeaders {
                stream,
                status: *status,
                content_type: *content_type,
                coding: 0,
                end: false,
            };
            begin.write(&mut input);
            body.write(&mut input);
            Event::Pass { bits: 28 }.write(&mut input);
            headers.write(&mut input);
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
                client_left: !end,
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

/// The chunks' contents as far as they go.
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

/// A long stream without its middle, where all events are of one kind: small inputs are fast ones.
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

fn number<T>(list: &[T], is: impl Fn(&T) -> bool) -> Option<u8> {
    list.iter().position(is).and_then(|at| u8::try_from(at).ok())
}
