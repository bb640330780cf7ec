//! One file for people: plots, tables and the environment, without anything from a network.
//!
//! The page holds the results as [`super::json`] has them; its own script draws them.

use super::{Run, json};

const PAGE: &str = include_str!("page.html");

/// What the head of the page says.
pub struct Head<'a> {
    pub title: &'a str,
    pub lead: &'a str,
}

pub fn page(run: &Run<'_>, head: &Head<'_>) -> String {
    // Within a script element only "</" could end it; JSON knows the slash escaped as well.
    let results = json::value(run).to_string().replace("</", "<\\/");
    let mut page = String::with_capacity(PAGE.len() + results.len());
    // In one walk, so that no text that is filled in is looked at again.
    let mut rest = PAGE;
    while let Some(at) = rest.find("__") {
        page.push_str(&rest[..at]);
        rest = &rest[at..];
        let places = [
            ("__TITLE__", escape(head.title)),
            ("__LEAD__", escape(head.lead)),
            ("__RESULTS__", results.clone()),
        ];
        match places.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, text)) => {
                page.push_str(text);
                rest = &rest[name.len()..];
            }
            None => {
                page.push_str("__");
                rest = &rest[2..];
            }
        }
    }
    page.push_str(rest);
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    #[test]
    fn no_result_can_break_out_of_its_place() {
        let mut environment = Environment::look(Vec::new());
        let text = "</script><script>alert(1)</script> __TITLE__ __RESULTS__";
        environment.facts.push(("command", text.to_owned()));
        let run = Run { environment: &environment, outcomes: &[] };
        let page = page(&run, &Head { title: "a < b & c", lead: text });
        assert_eq!(page.matches("</script>").count(), 2, "that of the results, that of the page");
        assert!(page.contains("<h1>a &lt; b &amp; c</h1>"));
        let start = page.find("id=\"results\">").unwrap() + "id=\"results\">".len();
        let end = start + page[start..].find("</script>").unwrap();
        let results: serde_json::Value = serde_json::from_str(&page[start..end]).unwrap();
        assert_eq!(results, json::value(&run));
    }
}
