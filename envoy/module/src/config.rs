//! What the configs of all filters have in common: Gatewright writes them, a line for each
//! thing, of which the first says their version.

const VERSION: &[u8] = b"version 1";

/// The words of the lines behind the first, or what is wrong with that.
pub fn lines(text: &[u8]) -> Result<Vec<Vec<&[u8]>>, String> {
    let mut lines = text.split(|&b| b == b'\n').filter(|l| !l.is_empty());
    let first = lines.next().unwrap_or(b"");
    if first != VERSION {
        return Err(format!(
            "the first line is {:?}, and must be {:?}: this module and Gatewright are of different versions",
            String::from_utf8_lossy(first),
            String::from_utf8_lossy(VERSION)
        ));
    }
    Ok(lines.map(|line| line.split(|&b| b == b' ').collect()).collect())
}

/// What is said of a line that no config has.
pub fn strange(words: &[&[u8]]) -> String {
    format!("no line can be {:?}", String::from_utf8_lossy(&words.join(&b' ')))
}
