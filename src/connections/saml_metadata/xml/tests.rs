//! What passes, what is refused, and that the limits hold to the number.

use super::*;

const LIMITS: Limits = Limits {
    bytes: 10_000,
    depth: 4,
    attributes_per_tag: 3,
    elements: 9,
    namespaces_in_scope: 5,
    comments_allowed: false,
};

fn form(text: &str) -> Result<Vec<Binding>, XmlFault> {
    walk(text_of(text.as_bytes(), &LIMITS)?, &LIMITS, &[], &mut FormOnly)
}

#[test]
fn well_formed_documents_pass() {
    for text in [
        "<a/>",
        "\u{feff}<?xml version=\"1.0\" encoding='utf-8' standalone='no' ?>\n<a x = 'y' ><b>&amp;&#x41;</b >\r\n</a>\n ",
        "<p:a xmlns:p='urn:p' p:x='1' x='2'><p:b/></p:a>",
        "<a x='&lt;&#65;'>é</a>",
    ] {
        assert_eq!(form(text), Ok(vec![]), "{text}");
    }
}

#[test]
fn whatever_parsers_read_differently_is_refused() {
    for text in [
        "",
        " ",
        "a",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "x<a/>",
        "<a/>&amp;",
        "<a></a",
        "<a",
        "<a/><!--",
        "<a x='1' x='2'/>",
        "<a x='1'y='2'/>",
        "<a x=1/>",
        "<a x/>",
        "<a x='<'/>",
        "<a x='&b;'/>",
        "<a>&b;</a>",
        "<a>&</a>",
        "<a>&#0;</a>",
        "<a>&#xFFFE;</a>",
        "<a>&#x110000;</a>",
        "<a>]]></a>",
        "<a>\u{1}</a>",
        "<a>\u{ffff}</a>",
        "<a>\0</a>",
        "<p:a/>",
        "<a p:x='1'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:xml='urn:x'/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<a xmlns:xmlns='urn:x'/>",
        "<a xmlns='u:' xmlns='v:'/>",
        "<a xmlns='relative'/>",
        "<a xmlns='urn:a b'/>",
        "<a xmlns='http://h:p/'/>",
        "<a xmlns='urn:%zz'/>",
        "<a xmlns='urn&#58;x'/>",
        "<a xmlns:p='u:' xmlns:q='u:' p:x='' q:x=''/>",
        "<a:b:c xmlns:a='u:'/>",
        "<1a/>",
        "<é/>",
        "< a/>",
        "<a/ >",
        "<a / >",
        " <?xml version='1.0'?><a/>",
        "<?xml version='1.1'?><a/>",
        "<?xml?><a/>",
        "<?xml version='1.0' encoding='latin1'?><a/>",
        "<a><?xml version='1.0'?></a>",
        "<?b c?><a/>",
        "<a><!-- c --></a>",
        "<a><![CDATA[x]]></a>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<a></a x='1'>",
    ] {
        assert!(form(text).is_err(), "{text}");
    }
}

#[test]
fn limits_hold_to_the_number() {
    assert!(form("<a><a><a><a/></a></a></a>").is_ok());
    assert_eq!(form("<a><a><a><a><a/></a></a></a></a>"), Err(XmlFault::TooDeep(4)));
    assert!(form("<a x='' y='' z=''/>").is_ok());
    assert_eq!(form("<a x='' y='' z='' w=''/>"), Err(XmlFault::TooManyAttributes(3)));
    assert_eq!(form("<a xmlns:x='u:' xmlns:y='u:' xmlns:z='u:' w=''/>"), Err(XmlFault::TooManyAttributes(3)));
    assert_eq!(form(&format!("<a>{}</a>", "<b/>".repeat(9))), Err(XmlFault::TooManyElements(9)));
    assert_eq!(form(&"<a/>".repeat(3_000)), Err(XmlFault::TooLarge(10_000)));
    let two = "<a xmlns:x='u:' xmlns:y='u:'><a xmlns:x='u:' xmlns:y='u:'>";
    assert_eq!(form(&format!("{two}<a xmlns:x='u:' xmlns:y='u:'/></a></a>")), Err(XmlFault::TooManyNamespaces(5)));
}

#[test]
fn inherited_namespaces_are_named_when_the_fragment_relies_on_them() {
    let around = [("p".to_owned(), "urn:p".to_owned()), ("q".to_owned(), "urn:q".to_owned())];
    let used = walk("<p:a xmlns:q='urn:own'><q:b/></p:a>", &LIMITS, &around, &mut FormOnly);
    assert_eq!(used, Ok(vec![("p".to_owned(), "urn:p".to_owned())]));
}
