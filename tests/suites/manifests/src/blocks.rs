//! Fenced blocks of the documents.

use infertally_harness::repository;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::{Result, yaml};

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The document and the number of the block in it, from 1.
    pub location: String,
    /// The language that the fence names; empty if it names none.
    pub language: String,
    /// The content.
    pub text: String,
}

/// The blocks of `README.md`, `CONTRIBUTING.md` and every document in `docs`.
///
/// # Errors
/// A document can't be read.
pub fn everywhere() -> Result<Vec<Block>> {
    let mut files = vec![repository("README.md"), repository("CONTRIBUTING.md")];
    files.extend(yaml::files(&repository("docs"), ".md")?);
    let mut blocks = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        blocks.extend(of(&name, &std::fs::read_to_string(&file)?));
    }
    Ok(blocks)
}

/// The blocks of a document. An indented block is one without a language.
pub fn of(name: &str, markdown: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match &kind {
                    CodeBlockKind::Fenced(words) => words.split_whitespace().next().unwrap_or_default(),
                    CodeBlockKind::Indented => "",
                };
                blocks.push(Block {
                    location: format!("{name}, block {}", blocks.len() + 1),
                    language: language.to_owned(),
                    text: String::new(),
                });
                inside = true;
            }
            Event::End(TagEnd::CodeBlock) => inside = false,
            Event::Text(text) if inside => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(&text);
                }
            }
            _ => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_in_lists_are_found_and_inline_code_is_not_a_block() {
        let found = of(
            "a.md",
            "`no`\n```sh\na\nb\n```\n1. x\n   ```yaml title\n   c: d\n   ```\n",
        );
        let found: Vec<_> = found
            .iter()
            .map(|block| (block.location.as_str(), block.language.as_str(), block.text.as_str()))
            .collect();
        assert_eq!(
            found,
            [("a.md, block 1", "sh", "a\nb\n"), ("a.md, block 2", "yaml", "c: d\n")]
        );
    }
}
