//! Declarations: what the configuration says of how files are written, for all datasets, for a
//! market, for a dataset. The narrower one wins, and what the configuration says of a market wins
//! over what a profile says of its datasets.

use crate::config::keys::{has_key, keys_of};
use crate::config::{Settings, Unmatched};
use crate::feed::dataset::{Dataset, DatasetSettings};
use crate::feed::declaration::DefaultSettings;
use crate::values::cell::NullTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The feeds, each with what it is in markets of which something else is said.
pub(super) fn datasets(
    settings: &Settings,
    own: &config::Config,
    null_tokens: &Arc<NullTokens>,
) -> Result<Vec<Arc<Dataset>>, String> {
    check("defaults", &settings.defaults, null_tokens)?;
    for (market, of_market) in &settings.markets {
        check(&format!("markets.{market}"), of_market, null_tokens)?;
    }
    let mut datasets = Vec::new();
    for (name, dataset) in &settings.datasets {
        let is_own = |key: &str| has_key(own, ["datasets", name, key]);
        let layers = Layers { defaults: &settings.defaults, dataset, is_own: &is_own };
        let of_rows = |key: &str| keys_of(own, ["datasets", name, key]);
        let filled = dataset.fill_down.iter().filter(|_| is_own("fill_down"));
        let own_names: Vec<&String> =
            of_rows("columns").chain(of_rows("no_rows")).chain(filled).collect();
        let made = |market: Option<&DefaultSettings>| -> Result<Dataset, String> {
            let mut dataset = Dataset::new(name, &layers.settings(market), null_tokens)?;
            dataset.own_columns = own_names.iter().map(|name| dataset.column_meant(name)).collect();
            Ok(dataset)
        };
        let in_markets = settings.markets.iter();
        let in_markets = in_markets
            .map(|(market, of_market)| Ok((market.clone(), Arc::new(made(Some(of_market))?))));
        let in_markets: BTreeMap<_, _> = in_markets.collect::<Result<_, String>>()?;
        datasets.push(Arc::new(made(None)?.with_markets(in_markets)));
    }
    same_keys(&datasets)?;
    if settings.unmatched == Unmatched::Create {
        let nothing = DatasetSettings::default();
        let layers = Layers { defaults: &settings.defaults, dataset: &nothing, is_own: &|_| false };
        let template = Dataset::template(
            &settings.unmatched_key,
            &datasets,
            null_tokens,
            &layers.settings(None),
        )?;
        // The last one: a file belongs to the first dataset that matches.
        datasets.push(Arc::new(template));
    }
    Ok(datasets)
}

/// Checks that datasets of one table have its key.
fn same_keys(datasets: &[Arc<Dataset>]) -> Result<(), String> {
    let mut first_of: BTreeMap<&str, &Dataset> = BTreeMap::new();
    for dataset in datasets {
        let first = first_of.entry(&dataset.table).or_insert(dataset);
        // Whether their order is the table's, the table says.
        let columns = |dataset: &Dataset| BTreeSet::from_iter(dataset.key.names().to_vec());
        if columns(first) != columns(dataset) {
            return Err(format!(
                "datasets.{}.key: datasets.{} writes to the same table, `{}`, whose key is {}; give one of them \
                 another `table`",
                dataset.name,
                first.name,
                dataset.table,
                first.key.names().join(", ")
            ));
        }
    }
    Ok(())
}

/// A dataset as it would be if the configuration declared it.
pub(super) fn dataset(
    name: &str,
    dataset: &DatasetSettings,
    defaults: &DefaultSettings,
    null_tokens: &Arc<NullTokens>,
) -> Result<Arc<Dataset>, String> {
    let layers = Layers { defaults, dataset, is_own: &|_| true };
    Ok(Arc::new(Dataset::new(name, &layers.settings(None), null_tokens)?))
}

/// Says at its own place what is wrong of what holds for several datasets.
fn check(
    place: &str,
    defaults: &DefaultSettings,
    null_tokens: &Arc<NullTokens>,
) -> Result<(), String> {
    let nothing = DatasetSettings::default();
    let layers = Layers { defaults, dataset: &nothing, is_own: &|_| false };
    match Dataset::new("", &layers.settings(None), null_tokens) {
        Ok(_) => Ok(()),
        Err(reason) => Err(reason.replace("datasets..", &format!("{place}."))),
    }
}

/// What is said of how the files of a dataset are written, at several places.
struct Layers<'a> {
    defaults: &'a DefaultSettings,
    dataset: &'a DatasetSettings,
    /// Whether the configuration itself, rather than a profile, says this of the dataset.
    is_own: &'a dyn Fn(&str) -> bool,
}

impl Layers<'_> {
    /// The dataset's settings, in a market if something is said of that.
    fn settings(&self, market: Option<&DefaultSettings>) -> DatasetSettings {
        let nothing = DefaultSettings::default();
        let (market, dataset, defaults) = (market.unwrap_or(&nothing), self.dataset, self.defaults);
        let mut currencies = defaults.currencies.clone();
        let [first, last] = match (self.is_own)("currencies") {
            true => [&market.currencies, &dataset.currencies],
            false => [&dataset.currencies, &market.currencies],
        };
        currencies.extend(first.clone());
        currencies.extend(last.clone());
        let texts = |key: &str, market: &str, dataset: &str, defaults: &str| -> String {
            let (first, second) =
                if (self.is_own)(key) { (dataset, market) } else { (market, dataset) };
            [first, second, defaults]
                .into_iter()
                .find(|text| !text.is_empty())
                .unwrap_or_default()
                .to_owned()
        };
        let lists = |key: &str,
                     market: &[String],
                     dataset: &[String],
                     defaults: &[String]|
         -> Vec<String> {
            let (first, second) =
                if (self.is_own)(key) { (dataset, market) } else { (market, dataset) };
            [first, second, defaults]
                .into_iter()
                .find(|list| !list.is_empty())
                .unwrap_or_default()
                .to_vec()
        };
        let (market_tokens, own_tokens) = (&market.null_tokens, &dataset.null_tokens);
        let null_tokens = match (self.is_own)("null_tokens") {
            true => own_tokens.as_ref().or(market_tokens.as_ref()),
            false => market_tokens.as_ref().or(own_tokens.as_ref()),
        };
        DatasetSettings {
            decimal: texts("decimal", &market.decimal, &dataset.decimal, &defaults.decimal),
            timezone: texts("timezone", &market.timezone, &dataset.timezone, &defaults.timezone),
            dates: lists("dates", &market.dates, &dataset.dates, &defaults.dates),
            encoding: lists("encoding", &market.encoding, &dataset.encoding, &defaults.encoding),
            null_tokens: null_tokens.or(defaults.null_tokens.as_ref()).cloned(),
            currencies,
            ..dataset.clone()
        }
    }
}
