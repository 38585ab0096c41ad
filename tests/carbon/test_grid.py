import pytest

from udt.carbon import find_place
from udt.errors import SettingsError

ENVIRON = {
    "UDT_REGION": "eu-west-3",
    "AWS_REGION": "eu-north-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "UDT_COUNTRY": "DEU",
}


class TestOrder:
    """Region, AWS' own variables, country, world."""

    @pytest.mark.parametrize(
        ("gone", "region"),
        [
            ([], "eu-west-3"),
            (["UDT_REGION"], "eu-north-1"),
            (["UDT_REGION", "AWS_REGION"], "us-east-1"),
            (["UDT_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"], "DEU"),
            (["UDT_REGION", "AWS_REGION", "AWS_DEFAULT_REGION", "UDT_COUNTRY"], "world"),
        ],
    )
    def test_of_the_environment(self, gone: list[str], region: str) -> None:
        environ = {name: value for name, value in ENVIRON.items() if name not in gone}
        assert find_place(environ=environ).region == region

    def test_arguments_come_first(self) -> None:
        assert find_place("ca-central-1", environ=ENVIRON).region == "ca-central-1"
        assert find_place(country="FRA", environ={"UDT_COUNTRY": "DEU"}).region == "FRA"

    def test_a_country_that_a_region_outranks_is_mentioned(self) -> None:
        place = find_place(country="FRA", environ={"AWS_REGION": "eu-north-1"})
        assert place.region == "eu-north-1"
        assert "from AWS_REGION" in place.grid_source
        assert "France not used" in place.grid_source

    def test_world_overrules_the_environment(self) -> None:
        assert find_place("world", environ=ENVIRON).region == "world"

    def test_an_empty_variable_is_none(self) -> None:
        assert find_place(environ={"AWS_REGION": "", "UDT_COUNTRY": "DEU"}).region == "DEU"

    def test_a_new_region_of_aws_is_passed_over(self) -> None:
        place = find_place(environ={"AWS_REGION": "xx-new-7", "UDT_COUNTRY": "ESP"})
        assert (place.region, place.pue) == ("ESP", 1.2)
        assert "no figure for AWS_REGION=xx-new-7" in place.grid_source


class TestFigures:
    @pytest.mark.parametrize(
        ("region", "vintage", "g_per_kwh", "pue"),
        [
            ("us-west-1", None, 350.861, 1.2),
            ("US-WEST-1 ", "teads", 350.861, 1.2),
            ("us-west-1", "ccf", 322.167, 1.135),
            ("us-west-1", "egrid", 179.06, 1.135),
            ("me-central-1", None, 404.1, 1.135),
        ],
    )
    def test_of_a_region(
        self, region: str, vintage: str | None, g_per_kwh: float, pue: float
    ) -> None:
        place = find_place(region, grid_source=vintage, environ={})
        assert (place.grid_g_per_kwh, place.pue) == (g_per_kwh, pue)

    def test_the_vintage_is_named(self) -> None:
        assert "Teads Engineering 2022" in find_place("us-west-1", environ={}).grid_source
        assert "Cloud Carbon" in find_place("me-central-1", environ={}).grid_source

    def test_of_the_world(self) -> None:
        place = find_place(environ={})
        assert (place.region, place.grid_g_per_kwh, place.pue) == ("world", 475.0, 1.0)
        assert "International Energy Agency" in place.grid_source

    @pytest.mark.parametrize("country", ["DEU", "deu", "Germany", "germany "])
    def test_of_a_country(self, country: str) -> None:
        place = find_place(country=country, environ={})
        assert (place.region, place.grid_g_per_kwh, place.pue) == ("DEU", 380.95, 1.0)
        assert "2023" in place.grid_source

    def test_an_instance_has_the_overhead_of_its_data_centre_anywhere(self) -> None:
        assert find_place(country="DEU", on_aws=True, environ={}).pue == 1.2
        assert find_place(on_aws=True, environ={}).pue == 1.2

    def test_no_grid_is_free_of_carbon(self) -> None:
        assert find_place(country="CAF", environ={}).grid_g_per_kwh > 0


class TestRefuses:
    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"region": "us-west-9"}, "'us-west-9' .* us-west-1"),
            ({"region": ""}, "Region ''"),
            ({"region": "Germany"}, "Give Germany as the country"),
            ({"country": "Germny"}, "'Germny' .* Germany"),
            ({"country": "GER"}, "'GER' .* Germany"),
            ({"country": ""}, "Country ''"),
            ({"region": "us-west-1", "grid_source": "cff"}, "'cff' .* ccf"),
            (
                {"region": "eu-west-1", "grid_source": "egrid"},
                "no figure for eu-west-1.*teads, ccf",
            ),
            ({"country": "DEU", "grid_source": "ccf"}, "no region is known"),
        ],
    )
    def test_and_suggests(self, settings: dict[str, str], says: str) -> None:
        with pytest.raises(SettingsError, match=says):
            find_place(**settings, environ={})

    def test_an_unknown_region_of_our_own_variable(self) -> None:
        with pytest.raises(SettingsError, match="eu-west-1"):
            find_place(environ={"UDT_REGION": "eu-west-l"})
