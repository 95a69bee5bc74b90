//! A table of streams by the number that Envoy gives each.
//!
//! Envoy counts its streams, so the low bits of a number are a position that is nearly always free: no hashing. A stream
//! whose position is taken is put at the next free one (linear probing).

/// What the host keeps for each open stream.
#[derive(Debug)]
pub(crate) struct Streams<T> {
    /// A power of two of them, at most half of them taken.
    slots: Vec<Option<(u32, T)>>,
    taken: usize,
}

// === impl Streams ===

impl<T> Streams<T> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            taken: 0,
        }
    }

    pub(crate) fn get_mut(&mut self, stream: u32) -> Option<&mut T> {
        let at = self.position(stream)?;
        self.slots.get_mut(at)?.as_mut().map(|(_, value)| value)
    }

    /// Adds a stream. An open one with this number is replaced.
    pub(crate) fn insert(&mut self, stream: u32, value: T) {
        self.remove(stream);
        if (self.taken + 1) * 2 > self.slots.len() {
            let slots = (self.slots.len() * 2).max(16);
            let old = std::mem::replace(&mut self.slots, (0..slots).map(|_| None).collect());
            for (stream, value) in old.into_iter().flatten() {
                self.put(stream, value);
            }
        }
        self.put(stream, value);
        self.taken += 1;
    }

    pub(crate) fn remove(&mut self, stream: u32) -> Option<T> {
        let mut hole = self.position(stream)?;
        let (_, removed) = self.slots.get_mut(hole)?.take()?;
        self.taken -= 1;
        // Those behind it that would be found no more move up: no free slot may lie between a stream and its first choice.
        let mut at = self.next(hole);
        while let Some(Some((stream, _))) = self.slots.get(at) {
            let first = self.first(*stream);
            let is_reachable = self.distance(first, at) < self.distance(hole, at);
            if !is_reachable {
                self.slots.swap(hole, at);
                hole = at;
            }
            at = self.next(at);
        }
        Some(removed)
    }

    fn put(&mut self, stream: u32, value: T) {
        let mut at = self.first(stream);
        while let Some(Some(_)) = self.slots.get(at) {
            at = self.next(at);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some((stream, value));
        }
    }

    fn position(&self, stream: u32) -> Option<usize> {
        let mut at = self.first(stream);
        while let Some((known, _)) = self.slots.get(at)? {
            if *known == stream {
                return Some(at);
            }
            at = self.next(at);
        }
        None
    }

    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    fn first(&self, stream: u32) -> usize {
        stream as usize & self.mask()
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    /// The number of steps from one slot to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn table_does_not_grow_with_the_number_of_streams_that_have_ended() {
        let mut streams = Streams::new();
        // One that stays open; every sixteenth later one has its position.
        streams.insert(3, 3);
        for stream in 4..10_000 {
            streams.insert(stream, stream);
            assert_eq!(streams.get_mut(stream), Some(&mut stream.clone()));
            if stream >= 9 {
                assert_eq!(streams.remove(stream - 5), Some(stream - 5));
            }
        }
        assert_eq!(streams.get_mut(3), Some(&mut 3));
        assert_eq!(streams.slots.len(), 16);
    }

    #[test]
    fn empty_table_has_no_stream() {
        let mut streams = Streams::<u32>::new();
        assert_eq!(streams.get_mut(0), None);
        assert_eq!(streams.remove(7), None);
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod property {
        use std::collections::BTreeMap;

        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// Numbers that collide: the high bits differ, the low bits are few.
            #[test]
            fn table_holds_what_a_map_holds(
                steps in prop::collection::vec((0u32..6, 0u32..4, any::<bool>()), 0..200)
            ) {
                let (mut streams, mut map) = (Streams::new(), BTreeMap::new());
                for (step, (low, high, add)) in steps.into_iter().enumerate() {
                    let stream = high << 16 | low;
                    if add {
                        streams.insert(stream, step);
                        map.insert(stream, step);
                    } else {
                        prop_assert_eq!(streams.remove(stream), map.remove(&stream));
                    }
                    prop_assert_eq!(streams.taken, map.len());
                    for stream in (0..6).flat_map(|low| (0..4).map(move |high| high << 16 | low)) {
                        prop_assert_eq!(streams.get_mut(stream), map.get_mut(&stream));
                    }
                }
            }
        }
    }
}
