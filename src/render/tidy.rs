//! Templates leave stray blanks; pages do not.

use super::escape::next_fence;

/// No trailing blanks, no two blank lines in a row, one line break at the end. What stands in a code fence keeps its lines.
#[must_use]
pub(super) fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut fence = None;
    let mut blank = true;
    for line in text.lines() {
        let line = line.trim_end();
        fence = next_fence(fence, line);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_collapse_outside_fences_only() {
        assert_eq!(tidy("\n\na  \n\n\n\n```sh\nx\n\n\ny\n```\n\n\nb"), "a\n\n```sh\nx\n\n\ny\n```\n\nb\n");
    }
}
