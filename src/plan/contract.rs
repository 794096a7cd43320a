//! The header of a contract file: name and version. Knows no language, only comment signs.

/// What a contract file says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// `Contract:`.
    pub name: Option<String>,
    /// The first word of `Version:`.
    pub version: Option<String>,
}

/// Reads the header out of the first forty lines.
pub fn read_header(text: &str) -> Header {
    let mut header = Header::default();
    for line in text.lines().take(40) {
        let signs = ['#', '/', '*', '"', '\'', '!', '-', ';', ' ', '\t'];
        let line = line.trim_start_matches(signs).trim_end_matches(['*', '/', '"', '\'', ' ']);
        let Some((key, value)) = line.split_once(':') else { continue };
        let first = || value.split_whitespace().next().map(str::to_owned);
        match key.trim() {
            "Contract" if header.name.is_none() => header.name = first(),
            "Version" if header.version.is_none() => header.version = first(),
            _ => {}
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_in_every_comment_style() {
        let styles = [
            "\"\"\"\nContract: A\nVersion: abc1234\n\"\"\"",
            "# Contract: A\n# Version: abc1234 (renegotiated from 9f00b1c)",
            "/**\n * Contract: A\n * Version: abc1234\n */",
            "//! Contract: A\n//! Version: abc1234",
            "/* Contract: A */\n/* Version: abc1234 */",
        ];
        for text in styles {
            let header = read_header(text);
            assert_eq!(header.name.as_deref(), Some("A"), "{text}");
            assert_eq!(header.version.as_deref(), Some("abc1234"), "{text}");
        }
    }
}
