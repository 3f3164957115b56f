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

#[cfg(test)]
mod tests {
    use super::super::{find, PropertyValue};
    use crate::iocage::version::V1_1;
    use crate::names::Checked;

    #[test]
    fn values_that_mean_the_same_are_kept_as_one_text() {
        for (name, one, other) in [
            ("boot", "on", "1"),
            ("boot", "False", "0"),
            ("boot", "nobody", "nobody"),
            ("priority", "007", "7"),
            ("vnet0_mtu", "auto", "auto"),
            ("ip4", "none", "disable"),
            (
                "ip4_addr",
                "DEFAULT|10.0.0.1, re0|10.0.0.2",
                "10.0.0.1,re0|10.0.0.2",
            ),
            ("nat_forwards", "8080,tcp(80:81)", "tcp(8080),tcp(80:81)"),
            (
                "vnet0_mac",
                "02FF60000000,02ff60000001",
                "02ff60000000 02ff60000001",
            ),
            ("notes", "on", "on"),
        ] {
            let property = find(name).unwrap();
            assert_eq!(property.as_kept(one), other, "{name}");
            assert_eq!(property.as_kept(other), other, "{name}");
        }
    }

    #[test]
    fn what_a_file_has_can_be_set_again_whatever_it_is() {
        let kept = |name: &str, text: &str| {
            let value = PropertyValue::kept(find(name).unwrap(), text);
            value.map(|value| value.in_words_of(V1_1).as_str().to_string())
        };
        assert_eq!(kept("boot", "1").as_deref(), Some("on"));
        assert_eq!(kept("boot", "nobody").as_deref(), Some("nobody"));
        assert_eq!(kept("priority", "1abc").as_deref(), Some("1abc"));
        assert_eq!(kept("notes", "a\nb").as_deref(), Some("a\nb"));
        assert_eq!(kept("notes", "a\0b"), None);
    }
}
