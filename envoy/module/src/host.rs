//! The request that a hook is about, as the filters see it.

use crate::abi::{self, Text};
use std::ffi::c_void;

/// Request is what filters read and write of a request. Envoy's is `Envoy`.
pub trait Request {
    /// The first value of a header of the request, and how many there are.
    fn header(&self, name: &[u8]) -> Option<(&[u8], usize)>;
    /// Puts a value in the place of all that the header has.
    fn set_header(&mut self, name: &[u8], value: &[u8]);
    fn remove_header(&mut self, name: &[u8]);
    /// A text of the metadata of the request's route.
    fn of_route(&self, namespace: &[u8], key: &[u8]) -> Option<&[u8]>;
    /// A text of the request's own metadata, which filters write.
    fn metadata(&self, namespace: &[u8], key: &[u8]) -> Option<&[u8]>;
    /// Writes texts, of two keys, of a namespace of that: at once, since each time costs.
    fn set_metadata(&mut self, namespace: &[u8], texts: [(&[u8], &[u8]); 2]);
    /// Keeps a text for the log.
    fn set_state(&mut self, name: &[u8], value: &[u8]);
}

/// Client is who has sent a request.
pub trait Client {
    /// The address and port of who has sent the request, of whoever Envoy takes for that.
    fn address(&self) -> Option<&[u8]>;
}

/// Response is what filters read and write of an answer.
pub trait Response {
    /// The first value of a header of the answer.
    fn header(&self, name: &[u8]) -> Option<&[u8]>;
    /// Puts a value in the place of all that the header has.
    fn set_header(&mut self, name: &[u8], value: &[u8]);
    fn remove_header(&mut self, name: &[u8]);
    /// Why Envoy has answered so.
    fn details(&self) -> Option<&[u8]>;
}

/// Envoy is the request of the hook that is being called.
pub struct Envoy(*mut c_void);

impl Envoy {
    /// # Safety
    /// It must be what Envoy has called a hook with, which has not returned yet.
    pub unsafe fn new(envoy: *mut c_void) -> Envoy {
        Envoy(envoy)
    }

    fn get(&self, of: u32, name: &[u8]) -> Option<(&[u8], usize)> {
        let (mut value, mut count) = (Text::NONE, 0);
        unsafe {
            abi::envoy_dynamic_module_callback_http_get_header(self.0, of, Text::new(name), &mut value, 0, &mut count)
                .then(|| (value.bytes(), count))
        }
    }

    fn set(&mut self, of: u32, name: &[u8], value: Text) {
        unsafe {
            abi::envoy_dynamic_module_callback_http_set_header(self.0, of, Text::new(name), value);
        }
    }

    fn attribute(&self, attribute: u32) -> Option<&[u8]> {
        let mut value = Text::NONE;
        unsafe { abi::envoy_dynamic_module_callback_http_filter_get_attribute_string(self.0, attribute, &mut value).then(|| value.bytes()) }
    }

    fn text(&self, of: u32, namespace: &[u8], key: &[u8]) -> Option<&[u8]> {
        let mut value = Text::NONE;
        unsafe {
            abi::envoy_dynamic_module_callback_http_get_metadata_string(self.0, of, Text::new(namespace), Text::new(key), &mut value)
                .then(|| value.bytes())
        }
    }
}

impl Request for Envoy {
    fn header(&self, name: &[u8]) -> Option<(&[u8], usize)> {
        self.get(abi::REQUEST_HEADERS, name)
    }

    fn set_header(&mut self, name: &[u8], value: &[u8]) {
        // An empty value is one of a header that is there: a pointer that is not null.
        self.set(abi::REQUEST_HEADERS, name, Text::new(value));
    }

    fn remove_header(&mut self, name: &[u8]) {
        self.set(abi::REQUEST_HEADERS, name, Text::NONE);
    }

    fn of_route(&self, namespace: &[u8], key: &[u8]) -> Option<&[u8]> {
        self.text(abi::METADATA_OF_ROUTE, namespace, key)
    }

    fn metadata(&self, namespace: &[u8], key: &[u8]) -> Option<&[u8]> {
        self.text(abi::METADATA_OF_REQUEST, namespace, key)
    }

    fn set_metadata(&mut self, namespace: &[u8], texts: [(&[u8], &[u8]); 2]) {
        let pairs = texts.map(|(key, value)| abi::Pair {
            key: Text::new(key),
            value: Text::new(value),
        });
        unsafe {
            abi::envoy_dynamic_module_callback_http_set_dynamic_metadata_string_batch(
                self.0,
                Text::new(namespace),
                pairs.as_ptr(),
                pairs.len(),
            );
        }
    }

    fn set_state(&mut self, name: &[u8], value: &[u8]) {
        unsafe {
            abi::envoy_dynamic_module_callback_http_set_filter_state_bytes(self.0, Text::new(name), Text::new(value));
        }
    }
}

impl Client for Envoy {
    fn address(&self) -> Option<&[u8]> {
        self.attribute(abi::SOURCE_ADDRESS)
    }
}

impl Response for Envoy {
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.get(abi::RESPONSE_HEADERS, name).map(|(value, _)| value)
    }

    fn set_header(&mut self, name: &[u8], value: &[u8]) {
        self.set(abi::RESPONSE_HEADERS, name, Text::new(value));
    }

    fn remove_header(&mut self, name: &[u8]) {
        self.set(abi::RESPONSE_HEADERS, name, Text::NONE);
    }

    fn details(&self) -> Option<&[u8]> {
        self.attribute(abi::RESPONSE_CODE_DETAILS)
    }
}
