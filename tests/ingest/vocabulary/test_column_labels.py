"""Column labels as CRMs and people write them, and the field that each stands for."""

import pytest

from winpredict.ingest.vocabulary import field_scores, is_never, kind_of, language_of

TABLES = {
    "en": """
deal_id: Opportunity ID | Opportunity ID (18) | Deal ID | Record ID | Deal - ID | (Do Not Modify) Opportunity
  Opportunity Number | Deal No | Deal # | Record Id | opportunity_id | dealId | Deal - Pipedrive System ID
  Potential Id
name: Opportunity Name | Deal Name | Deal - Title | Topic | dealname | Potential Name | Deal Title
account_name: Account Name | Potential Customer | Deal - Organization | Organization - Name | Associated Company
  Company name | Customer | Associated Company (Primary)
account_id: Account ID | AccountId | Company ID
created_at: Created Date | Create Date | Created On | Created Time | Deal - Deal created | Deal - Creation date
  createdate | Date Created | created_at | CreatedDate | Date Entered
closed_at: Actual Close Date | Close Date | Deal - Deal closed on | Deal - Closed on | Closing Date | Closed Date
  closedate | closed_at | CloseDate
expected_close_date: Est. Close Date | Expected Close Date | Deal - Expected close date | Expected Closing
  Estimated close date | expected_close_date
won_at: Won time | Deal - Won time | won_time | Date won | Signed date
lost_at: Lost time | Deal - Lost time | lost_time
outcome: Deal - Status | Outcome | Won/Lost | Opportunity Result | Deal status | Opportunity Status
stage: Stage | Deal Stage | Deal - Stage | Sales Stage | StageName | Deal - Stage (pipeline) | dealstage
  Opportunity: Stage
amount: Amount | Amount (USD) | Deal - Value | Est. Revenue | Deal value | Amount in company currency
  Opportunity.Amount | Value (k€) | Total Amount EUR | Close value
currency: Currency | Amount Currency | Deal - Currency | CurrencyIsoCode | Deal - Currency of Value
owner_name: Opportunity Owner | Deal Owner | Deal - Owner | Owner | Sales Rep | Assigned To | Sales agent
  Salesperson | Potential Owner
owner_id: OwnerId | hubspot_owner_id | Owner ID
pipeline: Pipeline | Deal - Pipeline | Opportunity Record Type
lead_source: Lead Source | Original Source Type | LeadSource
probability: Probability (%) | Deal probability | Deal - Probability
modified_at: Last Modified Date | Modified On | (Do Not Modify) Modified On | Modified Time | SystemModstamp
snapshot_at: Snapshot Date | As of date
loss_reason: Lost reason | Deal - Lost reason | Closed Lost Reason
is_deleted: IsDeleted | Archived
is_won: IsWon | Is Closed Won
is_closed: IsClosed | Is closed (numeric)
deal_type: Deal Type | Opportunity Type | Type
""",
    "fr": """
deal_id: ID de l'opportunité | ID de l’opportunité | Id de fiche | ID de fiche d'informations | ID de l'enregistrement
  Affaire - ID | (Ne pas modifier) Opportunité | Numéro d'opportunité | N° affaire | Réf. affaire | Id. | N° de devis
name: Nom de l'opportunité | Nom de l'affaire | Nom de la transaction | Affaire - Titre | Rubrique | Sujet | Intitulé
account_name: Nom du compte | Client potentiel | Affaire - Organisation | Organisation - Nom | Entreprise associée
  Client | Société | Raison sociale | Nom de l'entreprise
created_at: Date de création | Heure de création | Créé le | Affaire - Affaire créée | Date création
  Affaire - Date de création | DATE DE CREATION | Date d'ouverture | Affaire - Affaire créée le
closed_at: Date de clôture | Date de clôture réelle | Date de fermeture réelle | Affaire - Affaire clôturée le
  Date de fermeture | Date de cloture | Date de fermeture effective | Clôturée le
expected_close_date: Date de clôture prévue | Affaire - Date de clôture prévue | Date de fermeture estimée
  Date de fermeture est. | Clôture prévue | Date de signature prévue | Date de cloture (prévue)
won_at: Affaire - Gagné le | Affaire - Heure de la conclusion | Affaire - Date de gain | Gagnée le | Date de signature
lost_at: Affaire - Perdu le | Affaire - Heure de l'échec | Affaire - Date de perte | Perdue le
outcome: Affaire - Statut | Statut | Résultat | Gagné/Perdu | Statut de l'affaire | Statut de l'opportunité | État
  Issue
stage: Étape | Etape | ÉTAPE | Phase de la transaction | Affaire - Étape | Phase de vente | Étape de l'opportunité
  Phase active
amount: Montant | Affaire - Valeur | Montant (EUR) | Montant HT | Montant (k€) | Chiffre d'affaires est.
  Revenu estimé | Montant de la transaction | CA prévisionnel | Montant en devise de l'entreprise | Valeur
  Montant total
currency: Devise | Affaire - Devise | Devise du montant | Affaire - Devise de Valeur
owner_name: Propriétaire de l'opportunité | Propriétaire de l'affaire | Propriétaire de la transaction
  Affaire - Propriétaire | Propriétaire | Commercial | Responsable de l'opportunité | Attribué à | Vendeur
  Chargé d'affaires
pipeline: Pipeline | Affaire - Pipeline | Type d'enregistrement de l'opportunité
lead_source: Origine de la piste | Source du prospect | Source d'origine | Provenance du lead | Origine du lead
probability: Probabilité (%) | Probabilité | Affaire - Probabilité
modified_at: Date de dernière modification | Heure de modification | Modifié le
  (Ne pas modifier) Date de modification | Dernière modification
loss_reason: Affaire - Raison de la perte | Motif de perte | Raison de perte | Motif de l'échec
is_won: Gagnée | Est gagnée
is_closed: Fermée | Est fermée
deal_type: Type de transaction | Type d'affaire | Type d'opportunité
product: Produit | Nom du produit | Famille de produits
""",
    "de": """
deal_id: Opportunity-ID | Datensatz-ID | (Nicht ändern) Verkaufschance | Deal - ID | Vorgangsnummer | Angebotsnummer
  Deal-ID | Verkaufschancen-ID
name: Opportunity-Name | Opportunityname | Deal - Titel | Thema | Deal-Name | Name der Verkaufschance | Dealname
account_name: Accountname | Account-Name | Potenzieller Kunde | Deal - Organisation | Firma | Unternehmen | Kunde
  Organisation - Name
created_at: Erstelldatum | Erstellt am | Deal - Deal erstellt | Erstellungsdatum | Angelegt am | Anlagedatum
closed_at: Schlusstermin | Abschlussdatum | Deal - Deal abgeschlossen am | Tatsächliches Abschlussdatum
  Tatsaechliches Abschlussdatum | Geschlossen am
expected_close_date: Geschätztes Abschlussdatum | Geschaetztes Abschlussdatum | Erwartetes Abschlussdatum
  Deal - Erwartetes Abschlussdatum | Voraussichtliches Abschlussdatum
won_at: Deal - Gewonnen am | Gewonnen am | Auftragsdatum
lost_at: Deal - Datum des verlorenen Deals | Verloren am
outcome: Status | Ergebnis | Deal - Status | Gewonnen/Verloren | Statusgrund
stage: Phase | Deal-Phase | Deal - Phase | Verkaufsphase | Vertriebsphase | Opportunity-Phase
amount: Betrag | Deal - Wert | Geschätzter Umsatz | Gesch. Umsatz | Auftragswert | Betrag in EUR | Auftragsvolumen
  Volumen (T€) | Angebotssumme netto
currency: Währung | Betragswährung | Waehrung
owner_name: Opportunity-Inhaber | Deal - Besitzer | Besitzer | Verantwortlicher | Vertriebsmitarbeiter
  Zuständiger Mitarbeiter | Deal-Inhaber
lead_source: Lead-Quelle | Leadquelle | Herkunft
probability: Wahrscheinlichkeit (%) | Abschlusswahrscheinlichkeit
loss_reason: Deal - Verlustgrund | Verlustgrund | Absagegrund
modified_at: Zuletzt geändert am | Geändert am | Letztes Änderungsdatum
""",
    "es": """
deal_id: ID de la oportunidad | Id. de registro | ID de registro | (No modificar) Oportunidad | Negocio - ID
  Trato - ID | Nº de oportunidad
name: Nombre de la oportunidad | Nombre de Trato | Nombre del negocio | Negocio - Título | Trato - Título | Tema
account_name: Nombre de la cuenta | Nombre de Cuenta | Cliente potencial | Negocio - Organización | Empresa | Cliente
  Organización - Nombre
created_at: Fecha de creación | Hora de creación | Negocio - Negocio creado el | Trato - Trato creado | Fecha de alta
  Creado el
closed_at: Fecha de cierre | Fecha de cierre real | Cerrado el | Negocio - Negocio cerrado el
expected_close_date: Fecha de cierre estimada | Trato - Fecha de cierre prevista | Negocio - Fecha prevista de cierre
  Fecha de cierre prevista
won_at: Negocio - Fecha de ganado | Ganado el | Fecha de venta
lost_at: Negocio - Fecha de perdido | Perdido el
outcome: Estado | Negocio - Estado | Trato - Estado | Resultado | Ganado/Perdido | Estatus
stage: Etapa | Etapa del negocio | Fase | Negocio - Etapa | Trato - Etapa
amount: Importe | Monto | Negocio - Valor | Trato - Valor | Ingresos est. | Importe (EUR) | Valor estimado
  Monto total
currency: Moneda | Divisa | Trato - Moneda
owner_name: Propietario de oportunidad | Propietario de Trato | Propietario del negocio | Negocio - Propietario
  Trato - Propietario | Vendedor | Comercial | Responsable | Ejecutivo de ventas
  Oportunidad: Propietario de oportunidad
loss_reason: Negocio - Motivo de pérdida | Motivo de la pérdida | Razón de pérdida
""",
    "pt": """
deal_id: ID da oportunidade | (Não Modificar) Oportunidade | Negócio - ID | ID do registro | ID do registo
  Nº da proposta
name: Nome da oportunidade | Nome do negócio | Negócio - Título | Tópico
account_name: Nome da conta | Negócio - Organização | Organização - Nome | Conta | Cliente | Empresa
  Empresa associada
created_at: Data de criação | Negócio - Negócio criado em | Criado em | Hora de criação | Data de cadastro
  Negócio - Data de criação do negócio
closed_at: Data de fechamento | Negócio - Negócio fechado em | Data de fecho | Data Real do Fechamento
  Data de encerramento
expected_close_date: Negócio - Data de fechamento esperada | Data de Fechamento Est. | Data prevista de fecho
  Previsão de fechamento
won_at: Negócio - Ganho em | Negócio - Data de ganho | Data da venda
lost_at: Negócio - Data de perda | Perdido em
outcome: Situação | Negócio - Status | Status | Resultado | Razão do Status
stage: Fase | Etapa | Estágio | Negócio - Etapa | Fase do Negócio | Fase do negócio
amount: Valor | Quantia | Negócio - Valor | Receita Est. | Valor (R$) | Montante | Valor total
currency: Moeda | Negócio - Moeda | Moeda de Valor
owner_name: Proprietário da oportunidade | Proprietário do negócio | Negócio - Proprietário | Proprietário | Vendedor
  Responsável
pipeline: Negócio - Funil | Funil de vendas
loss_reason: Negócio - Motivo da perda | Motivo da perda
""",
    "it": """
deal_id: ID opportunità | ID record | (Non modificare) Opportunità | Codice trattativa | N. offerta
name: Nome opportunità | Nome trattativa | Argomento | Nome affare
account_name: Nome account | Potenziale cliente | Cliente | Azienda | Ragione sociale
created_at: Data creazione | Data di creazione | Creato il | Data inserimento
closed_at: Data chiusura | Data di chiusura | Data di chiusura effettiva | Chiusa il
expected_close_date: Data di chiusura prevista | Data chiusura prevista | Chiusura prevista | Data chiusura stimata
outcome: Stato | Esito | Vinta/Persa | Motivo stato
stage: Fase | Fase trattativa | Fase della trattativa | Stadio di vendita
amount: Importo | Ammontare | Ricavi stimati | Valore trattativa | Importo (EUR) | Importo netto
currency: Valuta
owner_name: Titolare opportunità | Proprietario trattativa | Proprietario | Commerciale | Venditore | Assegnato a
loss_reason: Motivo perdita | Motivo della perdita
""",
    "nl": """
deal_id: Opportunity-ID | Record-ID | (Niet wijzigen) Verkoopkans | Offertenummer | Deal - ID
name: Naam opportunity | Dealnaam | Onderwerp | Deal - Titel | Naam verkoopkans
account_name: Accountnaam | Potentiële klant | Klant | Bedrijf | Deal - Organisatie | Relatie
created_at: Aanmaakdatum | Gemaakt op | Deal - Deal aangemaakt | Aangemaakt op
closed_at: Sluitingsdatum | Werkelijke sluitingsdatum | Afsluitdatum | Gesloten op
expected_close_date: Geschatte sluitingsdatum | Verwachte sluitingsdatum | Deal - Verwachte sluitingsdatum
outcome: Status | Uitkomst | Resultaat | Gewonnen/Verloren
stage: Fase | Dealfase | Verkoopfase | Verkoop stadium
amount: Bedrag | Dealwaarde | Deal - Waarde | Geschatte opbrengst | Bedrag (EUR) | Offertebedrag
owner_name: Dealeigenaar | Eigenaar opportunity | Eigenaar | Verkoper | Deal - Eigenaar | Accountmanager
loss_reason: Reden van verlies | Verliesreden
""",
    "pl": """
deal_id: ID szansy sprzedaży | Identyfikator rekordu | Nr oferty | ID transakcji
name: Nazwa szansy sprzedaży | Nazwa transakcji | Temat
account_name: Nazwa konta | Klient | Firma | Kontrahent | Potencjalny klient
created_at: Data utworzenia | Utworzono | Data dodania
closed_at: Data zamknięcia | Rzeczywista data zamknięcia | Data zakończenia
expected_close_date: Przewidywana data zamknięcia | Oczekiwana data zamknięcia | Szac. data zamknięcia
outcome: Status | Wynik | Stan
stage: Etap | Etap sprzedaży | Etap transakcji | Faza
amount: Kwota | Wartość | Szac. przychód | Wartość netto (PLN) | Kwota w zł
currency: Waluta
owner_name: Właściciel szansy sprzedaży | Właściciel | Handlowiec | Opiekun | Sprzedawca
loss_reason: Powód przegranej | Przyczyna utraty
""",
    "ru": """
deal_id: ID сделки | Номер сделки | Сделка - ID | № сделки | Сделка - ID сделки
name: Название сделки | Сделка - Название | Тема
account_name: Компания | Название организации | Клиент | Контрагент | Сделка - Организация
created_at: Дата создания | Сделка - Дата создания | Создана
closed_at: Дата закрытия | Фактическая дата закрытия | Дата завершения
expected_close_date: Предполагаемая дата закрытия | Ожидаемая дата закрытия | Плановая дата закрытия
outcome: Статус | Статус сделки | Результат
stage: Стадия сделки | Этап сделки | Сделка - Стадия | Стадия | Этап
amount: Сумма | Сумма сделки | Бюджет | Сделка - Сумма | Сумма, руб | Сумма (RUB)
currency: Валюта
owner_name: Ответственный | Менеджер | Владелец сделки
loss_reason: Причина отказа | Причина проигрыша
pipeline: Воронка | Воронка продаж
""",
    "ja": """
deal_id: 商談 ID | 商談ID | 取引ID | 案件番号 | レコードID | 商談番号
name: 商談名 | 取引名 | 案件名 | 件名 | トピック
account_name: 取引先名 | 会社名 | 顧客名 | 関連付けられた会社 | 見込み客
created_at: 作成日 | 作成日時 | 登録日 | 商談作成日
closed_at: クローズ日 | 終了日 | 実際の完了日 | 完了日
expected_close_date: 完了予定日 | クローズ予定日 | 受注予定日
won_at: 受注日 | 成約日 | 契約日
lost_at: 失注日
outcome: ステータス | 結果 | 状態
stage: フェーズ | ステージ | 取引ステージ | 営業ステージ | 商談フェーズ
amount: 金額 | 金額（円） | 商談金額 | 売上見込み | 見積金額(税抜)
currency: 通貨
owner_name: 商談 所有者 | 商談所有者 | 担当者 | 営業担当 | 取引担当者
probability: 確度 (%) | 確度
lead_source: リードソース
loss_reason: 失注理由
pipeline: パイプライン
""",
}
SMALLEST = {"en": 60, "fr": 60, "de": 60, "es": 60, "pt": 55, "it": 40, "nl": 40, "pl": 30, "ru": 30, "ja": 45}


def _cells(table):
    field = ""
    for line in table.strip().splitlines():
        labels = line
        if not line.startswith(" "):  # a line that is indented goes on with the field before
            field, _, labels = line.partition(": ")
        yield from ((field, label.strip()) for label in labels.split(" | "))


ALL = [(language, field, label) for language, table in TABLES.items() for field, label in _cells(table)]


@pytest.mark.parametrize(("language", "field", "label"), ALL)
def test_a_label_stands_for_its_field(language, field, label):
    scores = field_scores(label, language)
    assert next(iter(scores), None) == field, scores
    assert scores[field] >= 0.8


@pytest.mark.parametrize(("language", "field", "label"), ALL)
def test_a_label_is_known_without_its_language(language, field, label):
    scores = field_scores(label)
    assert scores[field] >= max(scores.values()) - 0.1


@pytest.mark.parametrize("language", TABLES)
def test_the_tables_are_long_enough_and_tell_their_language(language):
    cells = list(_cells(TABLES[language]))
    assert len(cells) >= SMALLEST[language]
    assert language_of([label for _, label in cells]) == language


@pytest.mark.parametrize(
    "label",
    [
        "Contact Name", "Contact", "Description", "Next Step", "Phone", "Campaign Name", "Created By", "Owner's Team",
        "Deal Region", "Birth Date", "Notes", "Nom du contact", "Téléphone", "Commentaires",
        "Affaire - Personne à contacter", "Ansprechpartner",
        "Descripción", "Responsável técnico externo x", "Contatto", "Omschrijving", "Opis", "Комментарий", "備考",
        "Last Activity Date",
        "Days in Stage", "Dernière activité", "Foo", "xyz", "", "Column1",
    ],
)  # fmt: skip
def test_a_name_that_is_none_of_the_fields_gets_at_most_a_weak_score(label):
    assert all(score <= 0.5 for score in field_scores(label).values())


@pytest.mark.parametrize(
    ("label", "field"),
    [
        ("Account Name", "name"), ("Account Name", "deal_id"), ("Company Name", "name"), ("Owner Name", "name"),
        ("Last Modified Date", "closed_at"), ("Last Modified Date", "created_at"), ("Probability (%)", "amount"),
        ("Account ID", "deal_id"), ("Owner ID", "deal_id"), ("Actual Close Date", "expected_close_date"),
        ("Expected Close Date", "closed_at"), ("Date de clôture prévue", "closed_at"), ("Lost reason", "outcome"),
        ("Amount Currency", "amount"), ("Nom du compte", "name"), ("Won time", "created_at"), ("Lead Source", "stage"),
        ("Product Name", "name"), ("Pipeline", "stage"), ("Devise du montant", "amount"),
        ("Snapshot Date", "created_at"),
        ("Geschätztes Abschlussdatum", "closed_at"), ("Fecha de cierre prevista", "closed_at"),
        ("完了予定日", "closed_at"),
        ("Data de fechamento esperada", "closed_at"), ("Date de dernière modification", "closed_at"),
    ],
)  # fmt: skip
def test_the_end_of_a_name_does_not_make_it_a_field(label, field):
    assert field_scores(label).get(field, 0) <= 0.5


def test_more_telling_labels_score_higher():
    def score(label, field, language=""):
        return field_scores(label, language).get(field, 0)

    assert score("Actual Close Date", "closed_at") > score("Close Date", "closed_at")
    assert score("Expected Close Date", "expected_close_date") > score("Close Date", "expected_close_date")
    assert score("Date de clôture réelle", "closed_at") > score("Date de clôture", "closed_at")
    assert score("Date de clôture prévue", "expected_close_date") > score("Date de clôture", "expected_close_date")
    assert score("Opportunity ID", "deal_id") > score("ID", "deal_id")
    assert score("Stage", "stage") > score("Status", "stage")
    assert score("Outcome", "outcome") > score("Status", "outcome")
    assert score("Amount", "amount") > score("Amount (EUR)", "amount") > score("Amount.1", "amount")
    assert score("Montant", "amount") > score("Montant (USD)", "amount") > score("Montant (périmètre)", "amount")
    assert score("Amount", "amount") > score("Amount (converted)", "amount")
    assert score("Amount", "amount") > score("Amount__c", "amount") > score("Lead Source Detail", "lead_source") > 0
    assert score("Importo", "amount", "it") > score("Importo", "amount", "de")


def test_a_name_means_what_its_crm_means_by_it():
    assert next(iter(field_scores("OPPORTUNITY", kind="bitrix24"))) == "amount"
    assert next(iter(field_scores("Opportunity"))) == "name"
    assert field_scores("date_won", kind="close") == {"expected_close_date": 1.0, "won_at": 1.0}
    assert field_scores("Topic", kind="dynamics_export") == {"name": 1.0}


@pytest.mark.parametrize(
    ("label", "kind", "expected"),
    [
        ("Probability (%)", "", True), ("Deal - Probability", "", True), ("Last Activity", "", True),
        ("Forecast Category", "", True),
        ("Fiscal Period", "", True), ("Age", "", True), ("Date de dernière activité", "", True),
        ("Montant pondéré", "", True),
        ("Wahrscheinlichkeit (%)", "", True), ("売上予測分類", "", True),
        ("hs_v2_date_entered_closedwon", "hubspot_api", True),
        ("Date entered \"Closed won (Sales)\"", "hubspot_export", True), ("Amount", "", False), ("Montant", "", False),
        ("Created Date", "", False), ("Industry", "", False), ("hs_v2_date_entered_closedwon", "", False),
    ],
)  # fmt: skip
def test_columns_that_are_overwritten_at_the_close(label, kind, expected):
    assert is_never(label, kind) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("ID;Name;Firma;Status;Betrag;Erstellt am;Abschlussdatum;Besitzer", "de"),
        ("ID;Título;Conta;Situação;Valor;Data de criação;Data de fechamento;Proprietário", "pt"),
        ("ID;Nome;Cliente;Stato;Importo;Data creazione;Data chiusura;Proprietario", "it"),
        ("Id de fiche;Nom de l'affaire;Étape;Montant;Heure de création;Date de clôture;Nom du compte", "fr"),
        ("Opportunity ID;Opportunity Name;Account Name;Stage;Amount;Created Date;Close Date", "en"),
        ("id;title;value;currency;org_name;owner_name;stage_id;status;add_time;won_time", "en"),
        ("ID;Nombre;Empresa;Estado;Importe;Fecha de creación;Fecha de cierre", "es"),
        ("Id;Montant;foo", "fr"),
        ("Deal - Titel;Deal - Wert;Deal - Status;Deal - Besitzer", "de"),
        ("Deal - Title;Deal - Value;Deal - Status;Deal - Owner;Deal - Organization", "en"),
        ("(Ne pas modifier) Opportunité;Client potentiel;Nom de la transaction;Created On;Montant total", "fr"),
        ("ID;Стадия сделки;Сумма;Ответственный", "ru"),
        ("商談名;フェーズ;金額;完了予定日", "ja"),
        ("ID;Naam;Klant;Bedrag;Status;Aanmaakdatum", "nl"),
        ("ID;Nazwa;Klient;Kwota;Status;Data utworzenia", "pl"),
        ("ID;Status", ""),
        ("a;b;c", ""),
        ("", ""),
    ],
)
def test_language_of_headers(headers, expected):
    assert language_of(headers.split(";")) == expected


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ("Id;Name;StageName;Amount;CloseDate;CreatedDate;OwnerId;IsWon;IsClosed", "salesforce_objects"),
        (
            "Opportunity ID;Opportunity Name;Account Name;Stage;Amount;Created Date;Close Date;Opportunity Owner",
            "salesforce_report",
        ),
        (
            "ID de l'opportunité;Nom de l'opportunité;Nom du compte;Étape;Montant;Date de création;Date de clôture",
            "salesforce_report",
        ),
        ("Record ID;Deal Name;Deal Stage;Pipeline;Amount;Create Date;Close Date;Deal owner", "hubspot_export"),
        (
            "ID de fiche d'informations;Nom de la transaction;Phase de la transaction;Montant;Date de fermeture",
            "hubspot_export",
        ),
        ("id;dealname;dealstage;amount;closedate;createdate;hubspot_owner_id", "hubspot_api"),
        ("Record Id;Deal Name;Stage;Amount;Created Time;Closing Date;Deal Owner;Account Name", "zoho_deals"),
        (
            "Id de fiche;Nom de l'affaire;Étape;Montant;Heure de création;Date de clôture;Propriétaire de l'affaire",
            "zoho_deals",
        ),
        ("id;Deal_Name;Stage;Amount;Closing_Date;Created_Time;Owner.id", "zoho_api"),
        ("POTENTIALID;Potential Name;Stage;Amount;Closing Date;Potential Owner", "zoho_potentials"),
        ("Deal - ID;Deal - Title;Deal - Status;Deal - Value;Deal - Won time;Deal - Lost time", "pipedrive_export"),
        ("Affaire - ID;Affaire - Titre;Affaire - Statut;Affaire - Valeur;Affaire - Étape", "pipedrive_export"),
        (
            "id;title;value;currency;org_name;stage_id;status;add_time;update_time;won_time;lost_time;close_time",
            "pipedrive_api",
        ),
        (
            "(Do Not Modify) Opportunity;Topic;Potential Customer;Est. Close Date;Actual Close Date;Status",
            "dynamics_export",
        ),
        ("(Ne pas modifier) Opportunité;Rubrique;Client potentiel;Date de fermeture réelle;Statut", "dynamics_export"),
        ("opportunityid;name;statecode;estimatedvalue;actualclosedate;createdon", "dynamics_api"),
        ("lead_name;status_type;status_label;confidence;user_name;value;date_created;date_won", "close"),
        ("id;name;stage_id;expected_revenue;create_date;date_closed;probability;user_id", "odoo"),
        ("Opportunity;Stage;Expected Revenue;Salesperson;Closed Date;Created on", "odoo_export"),
        ("id;name;amount;deal_stage;expected_close;closed_date;owner_id;created_at;deal_pipeline_id", "freshsales"),
        ("ID;STAGE_ID;OPPORTUNITY;DATE_CREATE;CLOSEDATE;CLOSED", "bitrix24"),
        ("ID;Название сделки;Стадия сделки;Сумма;Ответственный;Дата создания;Сделка закрыта", "bitrix24_export"),
        ("id;name;sales_stage;amount;date_entered;date_closed;assigned_user_id", "suitecrm"),
        ("potentialname;sales_stage;closingdate;amount;createdtime;assigned_user_id", "vtiger"),
        ("Record ID;Deal name;Deal stage;Deal value;Deal owner;Associated company;Created at", "attio"),
    ],
)
def test_kinds_of_files(headers, kind):
    assert kind_of(headers.split(";")).kind == kind


@pytest.mark.parametrize(
    "headers", ["deal id;created;close date;status;amount", "ID;Name;Firma;Status;Betrag", "", "a;b"]
)
def test_a_spreadsheet_of_ones_own_is_of_no_kind(headers):
    assert kind_of(headers.split(";")) is None
