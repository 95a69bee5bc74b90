//! The property of the splitter of server-sent events. Input: a body.

use infertally_filter::exchange::MAX_STATE_BYTES;
use infertally_filter::sse::{MAX_NAME, Parser, Piece};
use infertally_oracle::sse::{Event, events};

use crate::body::Body;
use crate::choices::Choices;
use crate::heap;

/// # Panics
/// If the property does not hold.
pub fn check(input: &[u8]) {
    let body = Body::read(Choices(input));
    let split = body.read_in_every_way(split);
    assert_eq!(split, events(&body.bytes));

    let mut splitter = Parser::default();
    let held = heap::peak(|| {
        for chunk in body.chunks() {
            splitter.feed(chunk, &mut |_| {});
        }
        splitter.finish(&mut |_| {});
    });
    assert!(held <= MAX_STATE_BYTES, "{held} bytes held");
}

fn split(chunks: &mut dyn Iterator<Item = &[u8]>) -> Vec<Event> {
    let mut splitter = Parser::default();
    let (mut events, mut data) = (Vec::new(), Vec::new());
    let mut on_piece = |piece: Piece<'_>| match piece {
        Piece::Data(bytes) => data.extend_from_slice(bytes),
        Piece::End { name, has_error } => {
            assert!(name.len() <= MAX_NAME, "{} bytes", name.len());
            events.push(Event {
                name: name.to_vec(),
                data: std::mem::take(&mut data),
                has_error,
            });
        }
    };
    for chunk in chunks {
        splitter.feed(chunk, &mut on_piece);
    }
    splitter.finish(&mut on_piece);
    assert!(data.is_empty(), "data without an event: {data:?}");
    events
}
