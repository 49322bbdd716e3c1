"""Rewards: points for a discount, for the delivery, for a product."""

from typing import Final

from processor.domain.decision import Refusal
from processor.domain.outcomes import Outcome
from processor.domain.points import divide
from processor.domain.program import Reward, RewardKind
from processor.domain.rules.payment import points_left
from processor.domain.rules.registry import Stage, always, rule
from processor.domain.sale import PERCENT, Sale

_PIECE_MILLI: Final = 1_000


@rule(Stage.REWARD, always)
def take_rewards(sale: Sale) -> None:
    """Each reward takes off what it is worth and costs its points, in the order of the call."""
    offered = {reward.reward_id: reward for reward in sale.program.rewards}
    for reward_id in sale.command.reward_ids:
        reward = offered.get(reward_id)
        if reward is None:
            raise Refusal(Outcome.REWARD_NOT_AVAILABLE, reward_id=reward_id, why="not_offered")
        take_reward(sale, reward)


def take_reward(sale: Sale, reward: Reward) -> None:
    """Raises Refusal if the member or the receipt is not one for it."""
    why = why_not(sale, reward)
    if why:
        raise Refusal(Outcome.REWARD_NOT_AVAILABLE, reward_id=reward.reward_id, why=why)
    sale.take_off(f"rewards.{reward.reward_id}", worth_by_line(sale, reward), reward.points)


def why_not(sale: Sale, reward: Reward) -> str:
    """Why a reward can't be taken; empty if it can. Offline it was: the lack of points is a shortfall."""
    if reward.segments and not reward.segments & sale.segments:
        return "segment"
    if sale.is_online and reward.points > sale.available_points - sale.redeemed_points:
        return "points"
    if sale.is_online and reward.points > points_left(sale):
        return "limit"
    return "" if any(worth_by_line(sale, reward)) else "goods"


def worth_by_line(sale: Sale, reward: Reward) -> list[int]:
    """What a reward takes off each line, in minor units: nothing off what points can't pay."""
    left = sale.open_minor_without(sale.program.payment.excluded)
    match reward.kind:
        case RewardKind.DISCOUNT:
            return sale.split(
                divide(sum(left) * reward.discount_percent, PERCENT, sale.program.rounding), left
            )
        case RewardKind.DELIVERY:
            return [
                minor if line.category == reward.category else 0
                for line, minor in zip(sale.lines, left, strict=True)
            ]
    return _one_piece(sale, reward.sku, left)


def _one_piece(sale: Sale, sku: str, left: list[int]) -> list[int]:
    """Of the dearest line of the product, so that the order of the lines does not matter."""
    prices = [
        minor * _PIECE_MILLI // max(line.quantity_milli, _PIECE_MILLI) if line.sku == sku else 0
        for line, minor in zip(sale.lines, left, strict=True)
    ]
    dearest = max(range(len(prices)), key=lambda at: (prices[at], sale.lines[at]))
    return [price if at == dearest else 0 for at, price in enumerate(prices)]
