//! `infertally-syncer`.

fn main() {}
