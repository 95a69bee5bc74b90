//! Server-sent events of a complete stream, as the WHATWG standard defines them. An event that the stream's end cuts off
//! before its blank line counts, too.

/// Bytes kept of an event's name.
const MAX_NAME: usize = 64;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event` field, cut to 64 bytes; empty if there is none.
    pub name: Vec<u8>,
    /// The `data` fields, joined by LF.
    pub data: Vec<u8>,
    /// It has a field named `error`, as llama.cpp sends.
    pub has_error: bool,
}

/// The events of a stream that have data, or a field named `error`.
pub fn events(stream: &[u8]) -> Vec<Event> {
    let text = stream.strip_prefix("\u{feff}".as_bytes()).unwrap_or(stream);
    let mut events = Vec::new();
    let (mut name, mut data, mut has_error) = (Vec::new(), Vec::new(), false);
    for line in lines(text).into_iter().chain([&[][..]]) {
        if line.is_empty() {
            if !data.is_empty() || has_error {
                events.push(Event {
                    name: std::mem::take(&mut name),
                    data: data.join(&b'\n'),
                    has_error,
                });
            }
            name.clear();
            data.clear();
            has_error = false;
            continue;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let field = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => data.push(value.to_vec()),
            b"event" => name = value.iter().copied().take(MAX_NAME).collect(),
            b"error" => has_error = true,
            _ => {}
        }
    }
    events
}

/// The lines between CR, LF and CR LF.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        let (line, from_end) = rest.split_at(end);
        lines.push(line);
        let both = from_end.starts_with(b"\r\n");
        rest = from_end.get(1 + usize::from(both)..).unwrap_or_default();
    }
    lines.push(rest);
    lines
}
