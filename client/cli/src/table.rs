//! A table for people: columns as wide as their widest cells, with two spaces between them.

/// Gives the lines of a table with a head.
pub fn table<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Vec<String> {
    aligned(&with_head(head, rows))
}

/// Gives the lines of a table with a head and with figures: the cells of all columns but the first end below one
/// another.
pub fn figures<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Vec<String> {
    lines(&with_head(head, rows), |column| column > 0)
}

/// Gives the lines of a table without a head.
pub fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Vec<String> {
    lines(rows, |_| false)
}

fn with_head<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Vec<[String; COLUMNS]> {
    let mut all = vec![head.map(str::to_owned)];
    all.extend(rows);
    all
}

/// Gives one line for each row, without spaces at its end; `is_right` chooses the columns that are aligned right.
fn lines<const COLUMNS: usize>(
    rows: &[[String; COLUMNS]],
    is_right: impl Fn(usize) -> bool,
) -> Vec<String> {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let cell = |((column, cell), width): ((usize, &String), usize)| {
        if is_right(column) {
            format!("{cell:>width$}")
        } else {
            format!("{cell:width$}")
        }
    };
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<String> = row.iter().enumerate().zip(widths).map(cell).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell() {
        let rows = [["send", "7"], ["é", "12,000"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            table(["kind", "count"], rows.clone()),
            ["kind  count", "send  7", "é     12,000"]
        );
        assert_eq!(
            figures(["", "count"], rows),
            ["       count", "send       7", "é     12,000"]
        );
    }
}
