//! One glance at a response before anything of it is verified: does it say that it answers a request? Decides only
//! whether an attempt is missed or none was begun; neither lets anybody in.

use quick_xml::{Reader, events::Event};

/// Whether the response names a request. What cannot be read counts as an answer, which is then refused as one.
pub fn answers_a_request(response: &[u8]) -> bool {
    let mut reader = Reader::from_reader(response);
    loop {
        match reader.read_event() {
            Ok(Event::Start(root) | Event::Empty(root)) => {
                return root
                    .attributes()
                    .any(|attribute| attribute.is_ok_and(|one| one.key.as_ref() == b"InResponseTo"));
            }
            Ok(Event::Decl(_) | Event::Text(_) | Event::Comment(_)) => {}
            _ => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::answers_a_request;

    #[test]
    fn only_a_readable_response_without_in_response_to_is_unsolicited() {
        assert!(!answers_a_request(br#"<?xml version="1.0"?><p:Response xmlns:p="x" ID="_1"/>"#));
        assert!(answers_a_request(br#"<p:Response xmlns:p="x" ID="_1" InResponseTo="_2"></p:Response>"#));
        assert!(answers_a_request(b"nonsense"));
        assert!(answers_a_request(b""));
        assert!(answers_a_request(b"<!DOCTYPE a><a/>"));
    }
}
