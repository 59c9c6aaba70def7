"""Encodings are told from all bytes of a file."""

import pytest

from winpredict.errors import InputFileError

TEXTS = {
    "fr": "Nom de l'opportunité;Étape;Montant\nSociété Générale;Fermée;14\u00a0875,28 €\nForêt;Gagnée;1\u00a0200 €\n",
    "de": "Größe;Verkäufer;Straße\nMüller & Söhne;Jürgen;Bäckerstraße\nÖl AG;Uwe;Hof\n",
    "es": "Compañía;Etapa;Año\nCañón;Negociación;2024\nPerú S.A.;Ganada;2023\n",
    "pt": "Situação;Negócio;Conta\nConcluída;São João;Conceição\nNão;Proposta;Irmãos\n",
    "it": "Opportunità;Città;Stato\nForlì;Perù;Chiusa\nSocietà;Cefalù;Vinta\n",
    "nl": "Bedrijf;Fase;Reden\nCafé Oriënt;Gewonnen;Coöperatie\nIJssel;Verloren;Financiële\n",
    "pl": "Właściciel;Etap;Kwota\nŁukasz Śliwiński;Zamknięte wygrane;1200\nŻółta Łódź;Przegrane;1300\n",
    "ru": "Название сделки;Этап;Сумма\nПоставка оборудования;Выиграна;1200\nРемонт;Проиграна;900\n",
    "ja": "商談名;フェーズ;金額\n株式会社トヨタ;受注;1200\n日本電気;失注;900\n",
}
ENCODINGS = {
    "ru": ["cp1251", "koi8_r", "cp866", "iso8859_5"],
    "ja": ["cp932", "euc_jp", "iso2022_jp"],
    "pl": ["cp1250", "iso8859_2", "cp852"],
}
WIDE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        (language, each)
        for language in TEXTS
        for each in [*ENCODINGS.get(language, ["cp1252", "mac_roman", "cp850"]), *WIDE]
    ],
)
def test_every_language_in_its_encodings(read_all, language, encoding):
    text = TEXTS[language]
    if encoding == "cp850":
        text = text.replace("€", "EUR")
    (table,) = read_all(text.encode(encoding), "deals.csv")
    header, *rows = [line.split(";") for line in text.strip().split("\n")]
    assert table.frame.columns.tolist() == header
    assert table.frame.to_numpy().tolist() == rows
    assert (table.encoding in table.remark) == (not encoding.startswith("utf-8"))


@pytest.mark.parametrize(
    ("cell", "encoding"),
    [("Café", "cp1252"), ("12 €", "cp1252"), ("L’Oréal", "cp1252"), ("1\u00a0200", "cp1252"), ("Zoë", "cp1252"),
     ("Łódź", "cp1250"), ("Москва", "cp1251"), ("東京", "cp932"), ("ｶﾌﾞｼｷｶﾞｲｼｬ 山田", "cp932")],
)  # fmt: skip
def test_one_cell_is_enough(read_all, cell, encoding):
    rows = [f"D{number},{'plain' if number != 70 else cell},Won" for number in range(100)]
    (table,) = read_all("\n".join(["Id,Name,Stage", *rows]).encode(encoding), "deals.csv")
    assert table.frame["Name"].iloc[70] == cell


def test_letters_far_from_the_start_count(read_all):
    rows = [f"D{number},plain name,Won" for number in range(120_000)]
    rows[110_000] = "D110000,Łódź Wrocław,Won"
    (table,) = read_all("\n".join(["Id,Name,Stage", *rows]).encode("cp1250"), "deals.csv")
    assert table.frame["Name"].iloc[110_000] == "Łódź Wrocław"
    assert table.encoding == "Windows-1250"


@pytest.mark.parametrize("bad", [1, 3])
def test_utf_8_with_some_bad_bytes_stays_utf_8(read_all, bad):
    rows = [f"D{number},Müller {number},Won" for number in range(50)]
    content = "\n".join(["Id,Name,Stage", *rows]).encode()
    for number in range(bad):
        content = content.replace(f"ller {number},".encode(), f"ller {number}".encode() + b"\xe9,")
    (table,) = read_all(content, "deals.csv")
    assert table.encoding == "UTF-8"
    assert table.frame["Name"].iloc[0] == "Müller 0\ufffd"
    assert table.frame["Name"].iloc[49] == "Müller 49"
    assert table.repairs["row"].tolist() == [*range(2, 2 + bad)]


def test_a_bad_byte_in_a_name_is_told(read_all):
    content = "Id,Propriétaire,Étape\n1,é,à\n".encode().replace("Propriétaire".encode(), b"Propri\xe9taire")
    (table,) = read_all(content, "deals.csv")
    assert table.frame.columns.tolist() == ["Id", "Propri\ufffdtaire", "Étape"]
    assert table.repairs.to_dict("records") == [
        {"row": 1, "column": "Propri\ufffdtaire", "cause": "bytes that are not UTF-8"}
    ]


def test_bytes_that_the_encoding_has_not(read_all):
    rows = "\n".join(f"D{number},Société,Fermée" for number in range(30)).encode("cp1252")
    (table,) = read_all(b"Id,Name,Stage\n" + rows + b"\nD30,a\x81b,x\n", "deals.csv")
    assert table.encoding == "Windows-1252"
    assert table.frame["Name"].iloc[30] == "a\ufffdb"
    assert "1 cell holds bytes that are not Windows-1252" in table.remark


@pytest.mark.parametrize("content", [bytes(range(256)) * 40, b"Id,Name\n" + bytes(range(1, 32)) * 50])
def test_binary_data_are_refused(read_all, content):
    with pytest.raises(InputFileError, match="it is not text but binary data"):
        read_all(content, "deals.csv")


def test_nul_bytes_at_the_end_are_nothing(read_all):
    (table,) = read_all(b"Id,Name\n1,Ann\n2,Bob\n" + bytes(5000), "deals.csv")
    assert len(table.frame) == 2
    assert table.ledger == {"header": 1, "records": 2, "blank lines": 1}


def test_json_in_other_encodings(read_all):
    text = '[{"id": 1, "name": "Müller"}, {"id": 2, "name": "Łódź"}]'
    for encoding in ("utf-16", "utf-8-sig", "utf-32"):
        (table,) = read_all(text.encode(encoding), "deals.json")
        assert table.frame["name"].tolist() == ["Müller", "Łódź"]
    (table,) = read_all('[{"name": "Société Générale"}, {"name": "Étape"}]'.encode("cp1252"), "deals.json")
    assert table.frame["name"].tolist() == ["Société Générale", "Étape"]
    assert table.remark == "Windows-1252"
