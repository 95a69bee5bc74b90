use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MAX_BYTES: usize = 8 * 1024 * 1024;

fn writer(shared_bytes: &Arc<Semaphore>) -> Writer {
    Writer::new(MAX_BYTES, Arc::clone(shared_bytes))
}

/// Lines as model servers write them, `bytes` in all.
fn page(bytes: usize) -> Vec<u8> {
    let line = b"vllm:time_to_first_token_seconds_bucket{le=\"0.001\",model_name=\"m\"} 0.0\n";
    line.iter().copied().cycle().take(bytes).collect()
}

fn allocated(writer: &Writer) -> usize {
    writer.pieces.iter().map(Vec::capacity).sum()
}

#[test]
fn a_page_takes_its_size_and_what_it_takes_is_charged() {
    let shared = Arc::new(Semaphore::new(MAX_BYTES));
    let mut writer = writer(&shared);
    let page = page(4 * 1024 * 1024);
    for chunk in page.chunks(16 * 1024) {
        writer.push(chunk).unwrap();
        let charged = MAX_BYTES - shared.available_permits();
        assert_eq!(charged, allocated(&writer).saturating_sub(SMALL_PAGE_BYTES));
    }
    // Each piece lacks less than a line, and the last may be empty.
    assert!(allocated(&writer) < page.len() + page.len() / 100 + PIECE_BYTES);
    let body = writer.finish();
    assert!(
        shared.available_permits() < MAX_BYTES,
        "the page in memory has no permit"
    );
    assert_eq!(body.pieces().collect::<Vec<_>>().concat(), page);
    drop(body);
    assert_eq!(shared.available_permits(), MAX_BYTES);
}

#[test]
fn a_small_page_needs_no_permit_and_a_larger_one_fails_without() {
    let shared = Arc::new(Semaphore::new(0));
    assert!(writer(&shared).push(&page(SMALL_PAGE_BYTES - PIECE_BYTES)).is_ok());
    let error = writer(&shared).push(&page(SMALL_PAGE_BYTES + 1)).unwrap_err();
    assert!(matches!(error, FetchError::MemoryExhausted), "{error}");
}

#[test]
fn a_line_that_is_larger_than_a_piece_is_charged_too() {
    let shared = Arc::new(Semaphore::new(MAX_BYTES));
    let mut writer = writer(&shared);
    let line = vec![b'x'; 1024 * 1024];
    writer.push(b"\n").unwrap();
    writer.push(&line).unwrap();
    assert_eq!(
        MAX_BYTES - shared.available_permits(),
        allocated(&writer) - SMALL_PAGE_BYTES
    );
    let body = writer.finish();
    assert_eq!(body.pieces().collect::<Vec<_>>(), [&b"\n"[..], &line]);
}

#[test]
fn a_page_over_the_limit_fails() {
    let shared = Arc::new(Semaphore::new(MAX_BYTES));
    let mut writer = writer(&shared);
    writer.push(&page(MAX_BYTES)).unwrap();
    let error = writer.push(b"\n").unwrap_err();
    assert!(matches!(error, FetchError::TooLarge(MAX_BYTES)), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_piece_but_the_last_ends_at_a_line_end(
        lines in vec(prop_oneof![4 => 0_usize..200, 1 => 0_usize..3 * PIECE_BYTES], 0..60),
        chunk in 1_usize..2 * PIECE_BYTES,
    ) {
        let mut page = Vec::new();
        for line in lines {
            page.resize(page.len() + line, b'x');
            page.push(b'\n');
        }
        let shared = Arc::new(Semaphore::new(2 * MAX_BYTES));
        let mut writer = writer(&shared);
        for chunk in page.chunks(chunk) {
            writer.push(chunk).unwrap();
        }
        let body = writer.finish();
        let mut pieces: Vec<&[u8]> = body.pieces().collect();
        prop_assert_eq!(pieces.concat(), page);
        pieces.pop();
        prop_assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
    }
}
