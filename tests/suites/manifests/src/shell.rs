//! A parser for the commands in a block of shell: enough of the grammar to know which program gets which words. What it does
//! not know, such as a loop, becomes a command of that name, for which there is no check.

use std::iter::Peekable;
use std::str::Chars;

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Its words, without quotes, redirections and leading assignments.
    pub words: Vec<String>,
    /// The content of its here-document.
    pub input: Option<String>,
}

/// The commands of a block. In a `console` block they follow the prompt `$ `; everything else is output.
pub fn commands(text: &str, console: bool) -> Vec<Command> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(first) = lines.next() {
        let mut line = match (console, first.strip_prefix("$ ")) {
            (true, None) => continue,
            (true, Some(command)) => command.to_owned(),
            (false, _) => first.to_owned(),
        };
        while line.ends_with('\\')
            && let Some(more) = lines.next()
        {
            line.pop();
            line.push_str(more);
        }
        let (line, delimiter) = here_document(&line);
        let input = delimiter.map(|delimiter| {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != delimiter).collect();
            inside.join("\n")
        });
        let first = found.len();
        split(&mut line.chars().peekable(), None, &mut found);
        if let (Some(input), Some(command)) = (input, found.get_mut(first)) {
            command.input = Some(input);
        }
    }
    found
}

/// A line without its `<<DELIMITER`, and the delimiter.
fn here_document(line: &str) -> (String, Option<String>) {
    let Some((before, after)) = line.split_once("<<") else {
        return (line.to_owned(), None);
    };
    let after = after.trim_start_matches('-').trim_start();
    let (delimiter, rest) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
    (format!("{before} {rest}"), Some(delimiter.replace(['\'', '"'], "")))
}

/// Reads commands up to `end`, or to the end of the text.
fn split(text: &mut Peekable<Chars<'_>>, end: Option<char>, found: &mut Vec<Command>) {
    let mut command = Command::default();
    let mut word: Option<String> = None;
    // The next word is the file of a redirection.
    let mut skip = false;
    let mut nested = Vec::new();
    loop {
        let next = text.next();
        let ends = next.is_none() || next == end;
        let Some(char) = next.filter(|_| !ends) else {
            finish(&mut word, &mut skip, &mut command);
            break;
        };
        match char {
            '\'' => word
                .get_or_insert_default()
                .extend(text.by_ref().take_while(|char| *char != '\'')),
            '"' => quoted(text, word.get_or_insert_default(), &mut nested),
            '\\' => word.get_or_insert_default().extend(text.next()),
            '$' => dollar(text, word.get_or_insert_default(), &mut nested),
            '#' if word.is_none() => while text.next_if(|char| Some(*char) != end).is_some() {},
            '|' | '&' | ';' => {
                finish(&mut word, &mut skip, &mut command);
                found.push(std::mem::take(&mut command));
            }
            '>' | '<' => {
                // A number before it is a file descriptor, not a word.
                word = word.filter(|word| word.parse::<u32>().is_err());
                finish(&mut word, &mut skip, &mut command);
                while text.next_if(|char| matches!(char, '>' | '&')).is_some() {}
                skip = true;
            }
            char if char.is_whitespace() => finish(&mut word, &mut skip, &mut command),
            char => word.get_or_insert_default().push(char),
        }
    }
    found.push(command);
    found.append(&mut nested);
    found.retain(|command| !command.words.is_empty());
}

fn quoted(text: &mut Peekable<Chars<'_>>, word: &mut String, nested: &mut Vec<Command>) {
    while let Some(char) = text.next() {
        match char {
            '"' => return,
            '\\' => word.extend(text.next()),
            '$' => dollar(text, word, nested),
            char => word.push(char),
        }
    }
}

/// The commands of `$(…)` are read as well, and `$(…)` stands in the word; a variable is kept as text.
fn dollar(text: &mut Peekable<Chars<'_>>, word: &mut String, nested: &mut Vec<Command>) {
    word.push('$');
    if text.next_if_eq(&'(').is_some() {
        word.push_str("(…)");
        split(text, Some(')'), nested);
    }
}

fn finish(word: &mut Option<String>, skip: &mut bool, command: &mut Command) {
    let Some(word) = word.take() else { return };
    let sets = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    });
    if std::mem::take(skip) || (command.words.is_empty() && sets) {
        return;
    }
    command.words.push(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        commands(text, false).into_iter().map(|command| command.words).collect()
    }

    #[test]
    fn every_program_gets_its_words() {
        let cases: [(&str, &[&[&str]]); 8] = [
            ("make wasm   # builds it", &[&["make", "wasm"]]),
            ("a \\\n    b && c; d | e", &[&["a", "b"], &["c"], &["d"], &["e"]]),
            ("A=b c 'd e' \"f $g\" h\\ i", &[&["c", "d e", "f $g", "h i"]]),
            ("T=$(x y | z)", &[&["x", "y"], &["z"]]),
            ("c -H \"B: $(x 'y')\" d", &[&["c", "-H", "B: $(…)", "d"], &["x", "y"]]),
            ("a > f 2>&1 <g b", &[&["a", "b"]]),
            ("a &", &[&["a"]]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn a_here_document_is_the_input_of_its_command() {
        let found = commands("a -f - <<'EOF'\nx: y\nEOF\nb", false);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].words, ["a", "-f", "-"]);
        assert_eq!(found[0].input.as_deref(), Some("x: y"));
        assert_eq!(found[1].words, ["b"]);
    }

    #[test]
    fn in_a_console_block_lines_without_a_prompt_are_output() {
        let found = commands("$ a b\nc d\n$ e \\\n  f\ng", true);
        let found: Vec<_> = found.into_iter().map(|command| command.words).collect();
        assert_eq!(found, [vec!["a", "b"], vec!["e", "f"]]);
    }
}
