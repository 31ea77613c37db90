//! Templates leave stray blanks; pages do not.

/// No trailing blanks, no two blank lines in a row, one line break at the end. What stands in a code fence keeps its lines.
#[must_use]
pub(super) fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut fence: Option<(char, usize)> = None;
    let mut blank = true;
    for line in text.lines() {
        let line = line.trim_end();
        match (fence, fence_of(line)) {
            (None, open) => fence = open,
            (Some((c, n)), Some((d, m))) if c == d && m >= n && line.trim().chars().all(|x| x == c) => fence = None,
            _ => {}
        }
        if line.is_empty() && blank && fence.is_none() {
            continue;
        }
        blank = line.is_empty();
        out.push_str(line);
        out.push('\n');
    }
    let end = out.trim_end().len();
    out.truncate(end);
    out.push('\n');
    out
}

/// The sign and length of a code fence, if the line begins with one.
fn fence_of(line: &str) -> Option<(char, usize)> {
    let line = line.trim_start();
    let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == sign).count();
    let info_has_ticks = sign == '`' && line.chars().skip(length).any(|c| c == '`');
    (length >= 3 && !info_has_ticks).then_some((sign, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_collapse_outside_fences_only() {
        assert_eq!(tidy("\n\na  \n\n\n\n```sh\nx\n\n\ny\n```\n\n\nb"), "a\n\n```sh\nx\n\n\ny\n```\n\nb\n");
    }
}
