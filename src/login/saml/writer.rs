//! Writes the XML that we send. Every text and attribute goes through the escaping of quick-xml: nothing is ever
//! pasted into markup.

use quick_xml::{
    Writer,
    events::{BytesEnd, BytesStart, BytesText, Event},
};

/// XML under construction.
pub(super) struct XmlText(Writer<Vec<u8>>);

impl XmlText {
    pub fn new() -> XmlText {
        XmlText(Writer::new(Vec::with_capacity(2048)))
    }

    /// An element with attributes around what `inside` writes.
    pub fn element(&mut self, name: &str, attributes: &[(&str, &str)], inside: impl FnOnce(&mut XmlText)) {
        self.write(Event::Start(BytesStart::new(name).with_attributes(attributes.iter().copied())));
        inside(self);
        self.write(Event::End(BytesEnd::new(name)));
    }

    /// An element without content.
    pub fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.write(Event::Empty(BytesStart::new(name).with_attributes(attributes.iter().copied())));
    }

    /// An element of text.
    pub fn text(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.element(name, attributes, |x| x.write(Event::Text(BytesText::new(text))));
    }

    pub fn finish(self) -> String {
        String::from_utf8(self.0.into_inner()).expect("all that was written came from &str")
    }

    fn write(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("writing to memory does not fail");
    }
}
