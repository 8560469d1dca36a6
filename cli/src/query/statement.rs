//! What is typed: conditions, SQL that ends with `;`, commands that begin with a dot.
#![forbid(unsafe_code)]

/// How SQL begins; all else is a condition.
pub(super) const SQL: [&str; 6] = ["select", "with", "explain", "describe", "show", "values"];

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Sql(String),
    Condition(String),
    /// A command's name without the dot, and the rest of its line.
    Command(String, String),
}

/// The SQL of a condition.
pub(super) fn select(columns: &str, condition: &str, limit: Option<usize>) -> String {
    let limit = limit.map_or_else(String::new, |limit| format!(" limit {limit}"));
    // a line of its own: a condition may end with a comment
    format!("select {columns} from world where ({condition}\n){limit}")
}

/// Takes the first whole statement from the front of what was typed; `None`: more has to come, or there is nothing. At the
/// end of everything SQL needs no `;`.
pub(super) fn take(typed: &mut String, is_end: bool) -> Option<Statement> {
    let text = typed.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    if text.is_empty() {
        typed.clear();
        return None;
    }
    if let Some(comment) = text.strip_prefix("--") {
        let rest = comment.split_once('\n').map_or("", |(_, rest)| rest).to_owned();
        *typed = rest;
        return take(typed, is_end);
    }
    if let Some(command) = text.strip_prefix('.') {
        let (line, rest) = command.split_once('\n').unwrap_or((command, ""));
        let line = line.trim().trim_end_matches(';');
        let (name, words) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let statement = Statement::Command(name.to_ascii_lowercase(), words.trim().to_owned());
        *typed = rest.to_owned();
        return Some(statement);
    }
    let first = text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let is_sql = SQL.iter().any(|word| word.eq_ignore_ascii_case(first));
    let (end, is_whole) = end(text, is_sql);
    if !is_whole && !is_end {
        return None;
    }
    let said = text[..end].trim().to_owned();
    let rest = text[end..].to_owned();
    *typed = rest;
    Some(if is_sql { Statement::Sql(said) } else { Statement::Condition(said) })
}

/// Whether all that was typed can be done.
pub(super) fn is_whole(typed: &str) -> bool {
    let mut left = typed.to_owned();
    while take(&mut left, false).is_some() {}
    left.trim().is_empty()
}

/// Where a statement ends, and whether it does: at `;` outside of texts, names in quotation marks and comments; a condition
/// also at the end of a line, where its parentheses are closed.
fn end(text: &str, is_sql: bool) -> (usize, bool) {
    let (mut quote, mut depth) = (None, 0_i64);
    for (at, c) in text.char_indices() {
        if quote.is_none() && text[at..].starts_with("--") {
            quote = Some('\n');
        }
        match (quote, c) {
            // a comment ends with its line, and so may a condition
            (Some('\n'), '\n') if !is_sql && depth <= 0 => return (at, true),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ';') => return (at, true),
            (None, '\n') if !is_sql && depth <= 0 => return (at, true),
            (None, _) => {}
        }
    }
    (text.len(), !is_sql && quote.is_none_or(|open| open == '\n') && depth <= 0)
}

/// Where the last word of a line begins, which may be a column's name or a command.
pub(super) fn word_begins(typed: &str) -> usize {
    let of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']');
    typed.char_indices().rev().take_while(|(_, c)| of_word(*c)).last().map_or(typed.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, is_end: bool) -> (Vec<Statement>, String) {
        let mut typed = text.to_owned();
        let statements = std::iter::from_fn(|| take(&mut typed, is_end)).collect();
        (statements, typed)
    }

    #[test]
    fn lines_are_conditions_commands_or_sql_up_to_a_semicolon() {
        use Statement::{Command, Condition, Sql};
        let condition = |text: &str| Condition(text.to_owned());
        let sql = |text: &str| Sql(text.to_owned());
        let text = "-- a comment; of a line\nposition.x > 1\n.limit 5;\nselect ';' as a,\n  \";\" from world; Select 2;hot\n\n";
        let told = [
            condition("position.x > 1"),
            Command("limit".into(), "5".into()),
            sql("select ';' as a,\n  \";\" from world"),
            sql("Select 2"),
            condition("hot"),
        ];
        assert_eq!(all(text, false), (told.to_vec(), String::new()));
        assert_eq!(
            all("(a > 1\n or b)\n.Quit", false).0,
            [condition("(a > 1\n or b)"), Command("quit".into(), "".into())]
        );
        // what stands in a comment is none of it
        let told = [condition("hot -- it's ; (so"), sql("select 1 -- it's ; (so")];
        assert_eq!(all("hot -- it's ; (so\nselect 1 -- it's ; (so\n;", false).0, told);
        // a word that begins like SQL's
        assert_eq!(all("selected.by = 3", false).0, [sql("selected.by = 3")].map(|_| condition("selected.by = 3")));
        for open in ["select 1", "(a", "name = 'x", "with t as (select 1)\nselect * from t"] {
            assert_eq!(all(open, false), (vec![], open.to_owned()), "{open}");
            assert!(!is_whole(open) && all(open, true).0.len() == 1, "{open}");
        }
        assert!(is_whole("select 1;") && is_whole("") && is_whole("a\nb") && !is_whole("a\nselect 1"));
    }

    #[test]
    fn a_word_is_a_name_with_its_dots_and_brackets() {
        let word = |typed: &'static str| &typed[word_begins(typed)..];
        assert_eq!(
            [word("ä > spot.trail[1"), word("(posi"), word(".ho"), word("a "), word("")],
            ["spot.trail[1", "posi", ".ho", "", ""]
        );
    }

    #[test]
    fn a_condition_with_a_comment_stays_within_its_parentheses() {
        assert_eq!(select("*", "hot -- ones", Some(3)), "select * from world where (hot -- ones\n) limit 3");
    }
}
