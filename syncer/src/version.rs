//! What was built.

/// The crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Set by the build, see `scripts/build-syncer.sh`.
pub const COMMIT: &str = match option_env!("INFERTALLY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// The same, for a person: a tag, or a branch and a commit.
pub const BUILD_REF: &str = match option_env!("INFERTALLY_BUILD_REF") {
    Some(build_ref) => build_ref,
    None => "unknown",
};

/// What `--version` prints after the name.
pub fn long() -> String {
    format!("{VERSION} (commit {COMMIT}, {BUILD_REF})")
}
