//! How iocage keeps a value: what it makes of what it is given. So two texts can be compared.

use super::{truth, Kind, Property};

impl Property {
    /// The one text for all that mean the same as `text`.
    ///
    /// Source: `ioc_json.py`, json_set_value and json_check_prop.
    pub fn as_kept(&self, text: &str) -> String {
        match self.kind {
            Kind::Truth(_) => match truth(text) {
                Some(true) => "1".into(),
                Some(false) => "0".into(),
                None => text.into(),
            },
            Kind::Number(..) | Kind::NumberOr(..) => match text.parse::<i64>() {
                Ok(number) => number.to_string(),
                Err(_) => text.into(),
            },
            // iocage 1.0 says "none".
            Kind::Protocol if text == "none" => "disable".into(),
            _ => self.text_as_kept(text),
        }
    }

    fn text_as_kept(&self, text: &str) -> String {
        match self.name {
            // An interface called DEFAULT is left out.
            "ip4_addr" | "ip6_addr" => {
                let text = text.replace(' ', "");
                let each = text
                    .split(',')
                    .map(|one| one.strip_prefix("DEFAULT|").unwrap_or(one));
                each.collect::<Vec<_>>().join(",")
            }
            // A port alone is one of tcp.
            "nat_forwards" => {
                let port = |one: &str| !one.is_empty() && one.bytes().all(|c| c.is_ascii_digit());
                let each = text.split(',').map(|one| match port(one) {
                    true => format!("tcp({one})"),
                    false => one.into(),
                });
                each.collect::<Vec<_>>().join(",")
            }
            "vnet0_mac" | "vnet1_mac" | "vnet2_mac" | "vnet3_mac" => {
                text.replace(',', " ").to_ascii_lowercase()
            }
            _ => text.into(),
        }
    }
}
