//! A getUpdates answer of any bytes, for the fuzzer.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::page::{salvage, split};

/// Every element is a part of the answer, in order and without overlap.
pub fn fuzz_page(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let mut pages: Vec<_> = salvage(&body).into_iter().collect();
    if let Ok(result) = serde_json::from_slice::<&RawValue>(&body) {
        pages.extend(split(&body, result));
    }
    for page in pages {
        let mut end = body.as_ptr() as usize;
        for element in page.elements.iter().chain(&page.damaged).filter(|element| !element.is_empty()) {
            let at = element.as_ptr() as usize;
            assert!(at >= end && at + element.len() <= body.as_ptr() as usize + body.len());
            end = at + element.len();
        }
    }
}
