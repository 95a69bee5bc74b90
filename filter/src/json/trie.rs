//! Paths compiled into a tree, when the filter is built. At each level of a document the scanner is at one node or at none.
//!
//! The children of a node are neighbours: a small document touches little of the tree.

use super::path::{MAX_SEGMENTS, Path, Segment};

/// A longer key is at no path.
const MAX_KEY: usize = 31;
/// Limit of the nodes of one tree.
const MAX_NODES: usize = 40;

/// The paths of a scanner.
#[derive(Clone, Copy, Debug)]
pub struct Paths<F: 'static> {
    pub(super) trie: Trie,
    /// Of the paths that end at the nodes.
    pub(super) ids: [Option<F>; MAX_NODES],
}

/// Without the identifiers, so that the scanner is compiled once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trie([Node; MAX_NODES]);

/// The end of a path or of a part of one.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// That leads here from the parent. Empty for the root and the elements of an array.
    key: &'static [u8],
    /// One bit for the length of each child's key.
    lengths: u32,
    children: u8,
    first_child: NodeIndex,
    /// The elements of an array.
    element: NodeIndex,
    is_selected: bool,
}

/// Where a value or container is in a [`Trie`].
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeIndex(u8);

// === impl NodeIndex ===

impl NodeIndex {
    pub(super) const ROOT: Self = Self(0);
    /// At no path and in none.
    pub(super) const NONE: Self = Self(u8::MAX);

    pub(super) const fn get(self) -> usize {
        self.0 as usize
    }
}

// === impl Trie ===

impl Trie {
    /// The value of `key`, decoded, of the object at `parent`.
    pub(super) fn child(&self, parent: NodeIndex, key: &[u8]) -> NodeIndex {
        let Some(parent) = self.0.get(parent.get()) else {
            return NodeIndex::NONE;
        };
        // Fast path: most keys have a length that none of the paths' keys has.
        if key.len() > MAX_KEY || parent.lengths & (1 << key.len()) == 0 {
            return NodeIndex::NONE;
        }
        let first = parent.first_child.get();
        let children = self
            .0
            .get(first..first + usize::from(parent.children))
            .unwrap_or_default();
        let mut index = parent.first_child;
        for node in children {
            // The first bytes differ among most keys of one length.
            if node.key.len() == key.len() && node.key.first() == key.first() && node.key == key {
                return index;
            }
            index.0 += 1;
        }
        NodeIndex::NONE
    }

    /// The elements of the array at `parent`.
    pub(super) fn element(&self, parent: NodeIndex) -> NodeIndex {
        self.0.get(parent.get()).map_or(NodeIndex::NONE, |node| node.element)
    }

    /// Whether a path leads through a key of the object at `node`.
    pub(super) fn has_children(&self, node: NodeIndex) -> bool {
        self.0.get(node.get()).is_some_and(|node| node.children > 0)
    }

    /// Whether a path ends at `node`.
    pub(super) fn is_selected(&self, node: NodeIndex) -> bool {
        self.0.get(node.get()).is_some_and(|node| node.is_selected)
    }
}

// === impl Paths ===

#[allow(
    clippy::indexing_slicing,
    reason = "`get` is not const; an index out of bounds fails the build"
)]
impl<F: Copy> Paths<F> {
    /// Compiles groups of paths.
    ///
    /// # Panics
    /// If two paths are equal, and beyond the limits of segments, keys and nodes. In a constant, this fails the build.
    pub const fn new(groups: &[&[Path<F>]]) -> Self {
        const UNUSED: Node = Node {
            key: b"",
            lengths: 0,
            children: 0,
            first_child: NodeIndex::NONE,
            element: NodeIndex::NONE,
            is_selected: false,
        };
        let mut nodes = [UNUSED; MAX_NODES];
        let mut ids = [None; MAX_NODES];
        // The path to each node. The nodes from `at` to `count` have no children yet.
        let mut prefixes: [&[Segment]; MAX_NODES] = [&[]; MAX_NODES];
        let (mut at, mut count) = (0, 1);
        while at < count {
            let prefix = prefixes[at];
            let first_child = count;
            let mut element = None;
            let (mut group, mut path) = (0, 0);
            while group < groups.len() {
                if path == groups[group].len() {
                    (group, path) = (group + 1, 0);
                    continue;
                }
                let Path { id, segments } = groups[group][path];
                path += 1;
                assert!(segments.len() <= MAX_SEGMENTS, "a path is too long");
                if !starts_with(segments, prefix) {
                    continue;
                }
                if segments.len() == prefix.len() {
                    assert!(!nodes[at].is_selected, "two paths are equal");
                    nodes[at].is_selected = true;
                    ids[at] = Some(id);
                    continue;
                }
                let through = segments.split_at(prefix.len() + 1).0;
                match segments[prefix.len()] {
                    Segment::Each => element = Some(through),
                    Segment::Key(key) => {
                        let mut sibling = first_child;
                        while sibling < count && !is_equal(nodes[sibling].key, key.as_bytes()) {
                            sibling += 1;
                        }
                        if sibling == count {
                            assert!(key.len() <= MAX_KEY, "a key is too long");
                            nodes[at].lengths |= 1 << key.len();
                            nodes[count].key = key.as_bytes();
                            prefixes[count] = through;
                            count += 1;
                        }
                    }
                }
            }
            nodes[at].first_child = NodeIndex(first_child as u8);
            nodes[at].children = (count - first_child) as u8;
            if let Some(through) = element {
                nodes[at].element = NodeIndex(count as u8);
                prefixes[count] = through;
                count += 1;
            }
            at += 1;
        }
        Self { trie: Trie(nodes), ids }
    }
}

#[allow(clippy::indexing_slicing, reason = "`get` is not const")]
const fn starts_with(segments: &[Segment], prefix: &[Segment]) -> bool {
    let mut at = 0;
    while at < prefix.len() {
        if at == segments.len() {
            return false;
        }
        match (segments[at], prefix[at]) {
            (Segment::Key(key), Segment::Key(other)) if is_equal(key.as_bytes(), other.as_bytes()) => {}
            (Segment::Each, Segment::Each) => {}
            _ => return false,
        }
        at += 1;
    }
    true
}

#[allow(clippy::indexing_slicing, reason = "`get` is not const")]
const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}
