"""Each sample service with a PSP of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .processes import Psp
from .shop import Shop
from .wallet import Wallet


@pytest.fixture(scope="module")
def shop_psp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Psp]:
    psp = Psp(tmp_path_factory.mktemp("shop") / "psp", "order_ref")
    yield psp
    psp.stop()


@pytest.fixture(scope="module")
def wallet_psp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Psp]:
    psp = Psp(tmp_path_factory.mktemp("wallet") / "psp", "reference")
    yield psp
    psp.stop()


@pytest.fixture(scope="module")
def _shop(shop_psp: Psp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop"), shop_psp)
    shop.start()
    yield shop
    shop.stop()


@pytest.fixture
def shop(_shop: Shop, shop_psp: Psp) -> Iterator[Shop]:
    """A shop that the tests of a module share, each with references of its own."""
    yield _shop
    shop_psp.heal()


@pytest.fixture(scope="module")
def _wallet(wallet_psp: Psp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wallet]:
    wallet = Wallet(tmp_path_factory.mktemp("wallet"), wallet_psp)
    wallet.start()
    yield wallet
    wallet.stop()


@pytest.fixture
def wallet(_wallet: Wallet, wallet_psp: Psp) -> Iterator[Wallet]:
    """A wallet that the tests of a module share, each with references of its own."""
    yield _wallet
    wallet_psp.heal()


@pytest.fixture
def start_shop(shop_psp: Psp, tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Start the shop, with books of its own; the PSP heals after the test."""
    with ExitStack() as stack:
        stack.callback(shop_psp.heal)

        def start(**settings: str) -> Shop:
            shop = Shop(tmp_path, shop_psp, **settings)
            shop.start()
            stack.callback(shop.stop)
            return shop

        yield start


@pytest.fixture
def start_wallet(wallet_psp: Psp, tmp_path: Path) -> Iterator[Callable[..., Wallet]]:
    """Start the wallet, with a journal of its own; the PSP heals after the test."""
    with ExitStack() as stack:
        stack.callback(wallet_psp.heal)

        def start(**settings: str) -> Wallet:
            wallet = Wallet(tmp_path, wallet_psp, **settings)
            wallet.start()
            stack.callback(wallet.stop)
            return wallet

        yield start
