//! Global allocator that counts the heap bytes of each thread, so that a property can bound what a reader holds.
#![allow(unsafe_code, reason = "a global allocator needs it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most heap bytes that `run` held at any time, in addition to those held before.
pub(crate) fn peak(run: impl FnOnce()) -> usize {
    let before = LIVE.get();
    let outer = PEAK.replace(before);
    run();
    let peak = PEAK.get();
    PEAK.set(outer.max(peak));
    usize::try_from(peak - before).unwrap_or(0)
}

// === impl Counting ===

impl Counting {
    fn count(delta: isize) {
        // Fails in a thread that is ending, where nobody needs the counters.
        _ = LIVE.try_with(|live| {
            live.set(live.get() + delta);
            PEAK.with(|peak| peak.set(peak.get().max(live.get())));
        });
    }
}

// SAFETY: every call is passed on unchanged to the system allocator; counting touches only two thread-locals, which need
// no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::count(-(layout.size() as isize));
        // SAFETY: the pointer came from `alloc` or `realloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size as isize - layout.size() as isize);
        // SAFETY: the pointer came from `alloc` or `realloc` above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn the_peak_counts_freed_memory_and_nothing_allocated_before() {
        let older = black_box(vec![0_u8; 10]);
        let peak = peak(|| {
            drop(black_box(vec![0_u8; 1000]));
            drop(black_box(vec![0_u8; 500]));
        });
        assert_eq!((peak, older.len()), (1000, 10));
    }
}
