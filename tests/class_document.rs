//! Every example of the class document, sent to the lab as a request, as a REST body and as a
//! WebSocket message. `tests/lab/src/class_document.rs` says how the two are compared; the demo does
//! the same through a C program.

mod common;

use std::ffi::{c_char, c_void};

use common::Instance;
use serde_json::{json, Value};
use sysadm_iocage::ffi::{SysadmIocageHost, SYSADM_IOCAGE_ACCESS_FULL};
use sysadm_iocage_lab::{class_document, Lab};

unsafe extern "C" fn take_job(_: *mut c_void, _: *const c_char, _: *const *const c_char) -> bool {
    true
}

#[test]
fn every_example_is_answered_as_the_document_says() {
    let Some(lab) = Lab::or_skip(1) else { return };
    let mut examples = class_document::open(&lab);
    let host = SysadmIocageHost {
        struct_size: size_of::<SysadmIocageHost>(),
        user_data: std::ptr::null_mut(),
        queue_process: Some(take_job),
        is_job_active: None,
        log: None,
        job_ended: None,
    };
    let plugin = Instance::open(&lab.config(), &host);

    assert_eq!(examples.len(), 12);
    for example in &mut examples {
        let (section, args) = (example.section().to_string(), example.args().clone());
        let action = example.action().to_string();
        let body = example.part("rest_body").unwrap().clone();
        assert_eq!(body, args, "the document sends one request in two ways");
        assert_eq!(example.part("rest_path").unwrap(), "/sysadm/iocage");
        example.prepare(&lab);
        let reply = json!({ action.as_str(): plugin.ask(&args) });
        assert_eq!(example.compare(&reply), Ok(()), "{section}");

        example.prepare(&lab);
        let (status, reply) = plugin.evaluate(&body.to_string(), SYSADM_IOCAGE_ACCESS_FULL);
        assert_eq!(status, 200);
        assert_eq!(example.compare(&reply), Ok(()), "{section}");
        if let Some(own) = example.part("rest_response") {
            assert_eq!(json!({ "args": reply }), *own, "{section}");
        }

        example.prepare(&lab);
        let mut message = plugin.message(example.part("websocket").unwrap());
        assert_eq!(example.compare(&message["args"]), Ok(()), "{section}");
        message["args"] = Value::Null; // which is compared; now the rest
        let mut response = example.part("response").unwrap().clone();
        response["args"] = Value::Null;
        assert_eq!(message, response, "{section}");
    }
}

#[test]
fn a_reply_that_differs_anywhere_is_not_the_documented_one() {
    let documented = json!({ "jails": { "1": { "uuid": "web" } }, "list": ["a", "b"] });
    let difference = |found: Value| class_document::difference("reply", &found, &documented);
    assert_eq!(difference(documented.clone()), None);
    for (place, found) in [
        ("reply", json!("nonsense")),
        ("reply", json!(null)),
        ("reply.jails", json!({ "list": ["a", "b"] })),
        (
            "reply.jails.1.uuid",
            json!({ "jails": { "1": { "uuid": "db" } }, "list": ["a", "b"] }),
        ),
        (
            "reply.list",
            json!({ "jails": { "1": { "uuid": "web" } }, "list": ["b", "a"] }),
        ),
        (
            "reply.jails.2",
            json!({ "jails": { "1": { "uuid": "web" }, "2": {} }, "list": ["a", "b"] }),
        ),
    ] {
        let told = difference(found).unwrap();
        assert!(told.starts_with(&format!("{place}: ")), "{told}");
    }
}
