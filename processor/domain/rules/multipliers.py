"""What goods count for when points are earned: more for some, nothing for excluded ones."""

from processor.domain.program import Program
from processor.domain.rules.registry import Stage, rule
from processor.domain.sale import Sale, brand_of, category_of, sku_of


@rule(Stage.WEIGHT, lambda program: program.earning.multipliers is not None)
def multiply(sale: Sale) -> None:
    """By SKU, else by brand, else by category. A receipt without lines names no goods."""
    if not sale.command.receipt.lines:
        return
    multipliers = sale.program.earning.multipliers
    assert multipliers
    by_sku, by_brand, by_category = multipliers
    before = sale.weights_percent
    # Where there is none by brand or SKU, the one at hand stays.
    weights = map(by_category.get, map(category_of, sale.lines), before)
    weights = map(by_brand.get, map(brand_of, sale.lines), weights)
    sale.weights_percent = list(map(by_sku.get, map(sku_of, sale.lines), weights))
    if sale.earns and sale.weights_percent != before:
        sale.apply("earning.multipliers")


def _excludes(program: Program) -> bool:
    return program.earning.excluded is not None


@rule(Stage.WEIGHT, _excludes)
def exclude(sale: Sale) -> None:
    """Whatever else they would count for."""
    if not sale.command.receipt.lines:
        return
    excluded = sale.program.earning.excluded
    assert excluded
    before = sale.weights_percent
    sale.weights_percent = sale.without(excluded, before)
    if sale.earns and sale.weights_percent != before:
        sale.apply("earning.excluded")
