"""Stages and statuses as people write them, and what they say of a deal's end."""

import pytest

from winpredict.ingest.vocabulary import classify_outcome

WON = """
Accepted by customer | Devis accepté | Won - Awaiting PO | Beauftragt - in Umsetzung
Accepted | 5 - Booked | Success | Closed (Won) | Won (lost deals reactivated) | Auftrag | Erfolgreich | Commande
6. Ordine | Успешно
Won | won | WON | Closed Won | closedwon | ClosedWon | closed_won | CLOSED WON | Closed - Won | Closed/Won
Closed Won (Sales Pipeline) | 100% - Won
5. Won | Won ✅ | 🎉 Closed won | Stage 6: Closed Won | Sold | Signed | Contract signed | Deal won!
Won - new customer | Win | Successful | Not lost - signed
Signed - Q1 2024 | Accepted | Order received | Awarded | Purchase order received | C6:WON | WON | Quote accepted
Closed won, upsell later
Gagné | Gagnée | GAGNÉ | gagne | 5. Gagné | Fermée / Gagnée | Fermée/Gagnée | Fermé gagné
Fermé gagné (Pipeline des ventes) | Conclu gagné | Clôturée gagnée | Transaction gagnée
Affaire gagnée | Conclu | Conclue | Vendu | Signée | Contrat signé | Devis signé | 100 % - Gagnée | Commande reçue
Remporté | Gagné 🎉
Gewonnen | Geschlossen/Gewonnen | Geschlossen und gewonnen | Abgeschlossen und gewonnen | Abgeschlossen - gewonnen
Auftrag erhalten | Verkauft | Beauftragt | Angebot angenommen | 6 - Gewonnen
Ganado | Ganada | Cerrada ganada | Cierre ganado | Cerrado ganado (Embudo 2) | 4. Cierre Ganado | Cerrada/Ganada
Lograda | Vendido | Contrato firmado | Adjudicado
Ganho | Ganha | Fechado ganho | Fechado e ganho | Negócio fechado | Fechado - Ganho | Vendida | Contrato assinado
GANHO E ENTREGUE | Venda realizada
Vinta | Vinto | Chiusa vinta | Chiuso VINTO | Chiuso Positivamente | Aggiudicata | Contratto firmato
Trattativa vinta | Ordine ricevuto
Gewonnen deal | Gesloten en gewonnen | Gesloten gewonnen | Verkocht | Offerte geaccepteerd | Opdracht ontvangen
Getekend
Wygrana | Wygrane | Zamknięte wygrane | Zakończone Wygrane | Zakończone sukcesem | Sprzedane | Umowa podpisana
Выиграна | Успешно реализовано | Закрыто и выиграно | Закрыто - Успех | Закрыта удачно | Сделка успешна | Продано
Договор подписан
受注 | 成約 | 成立 | 受注済み | 成立 (Closed Won) | 契約締結 | 受注獲得 | クローズ（成立） | 取引成立 | 成約(新規)
"""
LOST = """
商談中止 | Qualified Out | Order cancelled | Auftrag verloren | Devis refusé | Ordine perso
Loss | Churn | 0 - Dropped | Lost (was open) | Verlust | Perte | Strata | Потеря | Closed (Lost)
Lost | LOST | Closed Lost | closedlost | ClosedLost | closed_lost | Closed-Lost | Closed Lost to Competition
Closed-Lost to Competition | Lost - price | Lost to competitor | 0% - Lost
7. Lost ❌ | Not sold | Not won | Unsuccessful | Abandoned | Disqualified | No decision | Cancelled | Canceled
Churned | Expired | Dead
Rejected | Declined | No bid | Withdrawn | Not interested | Won by competitor | C6:LOSE | C14:APOLOGY
Lost after demo | Postponed for good | No sale | Closed - No decision
Never won | Junk | Closed Lost (Enterprise) | LOSE | Out-Sold | Failed | Lost: no budget | Not awarded
Not a won deal
Perdu | Perdue | 0 - Perdu | Fermée / Perdue | Fermé perdu | Conclu perdu | Conclu-perdu face à la concurrence
Perdu face à un concurrent | Gagné par un concurrent | Abandonné | Annulée | Sans suite
Pas gagné | Non retenu | Refusé | Sans décision | Clôturée perdue | Perdu - pas de budget | Non vendu | Pas intéressé
Expirée | Disqualifié | Transaction perdue
Verloren | Geschlossen und verloren | Abgeschlossen/Verloren | Nicht gewonnen | Abgelehnt | Storniert
Keine Entscheidung | Kein Interesse | An Wettbewerber verloren | Vom Wettbewerber gewonnen | Nicht verkauft
Perdido | Perdida | Cerrada perdida | Cierre perdido | 5. Cierre Perdido | No ganada | Cancelado | Abandonado
Descartado | Sin decisión | Rechazada | Perdido ante la competencia
Fechado perdido | Fechado e perdido | Negócio perdido | Não vendido | Desqualificado | Cancelada | Desistência
Sem interesse | Recusada
Persa | Perso | Chiusa persa | Chiuso PERSO | Chiuso Negativamente | Non vinta | Annullata | Rifiutata
Nessuna decisione | Vinta da un concorrente | Abbandonata
Verloren aan concurrent | Gesloten en verloren | Niet gewonnen | Geannuleerd | Afgewezen | Geen interesse
Geen beslissing | Vervallen | Gewonnen door concurrent
Przegrana | Zamknięte przegrane | Zakończone porażką | Nie wygrana | Anulowana | Odrzucona | Brak decyzji | Utracone
Rezygnacja
Проиграна | Закрыто и не реализовано | Закрыто - Провал | Закрыта неудачно | Сделка провалена | Не реализовано | Отказ
Отменена | Неуспешно | Не продано | Анализ причины провала
失注 | 不成立 | 失注（価格） | 見送り | キャンセル | 他社受注 | クローズ（失注） | 不成約 | 失注済み | 中止
"""
OPEN = """
未成立 | Auftrag in Bearbeitung
Negotiation (Reactivation of lost deals) | In progress (won customers) | Waiting for signed contract
En attente du contrat signé
Open | In progress | On hold | Pending | Active | New | Negotiation | Negotiation/Review | Proposal/Price Quote
Qualified To Buy | Contract Sent | Appointment Scheduled
Not won yet | Still not signed, in progress | Follow up | Qualify | C6:PREPARATION | C2:EXECUTING
Id. Decision Makers | Lost contact, follow up | Postponed
Ouvert | Ouverte | En cours | En attente | Négociation/Révision | Prospection | Proposition envoyée
Rendez-vous planifié | Contrat envoyé | À relancer | Pas encore gagné
Offen | In Bearbeitung | In Verhandlung | Zurückgestellt | Angebot gesendet | Noch nicht gewonnen
Abierto | Abierta | En curso | En negociación | Propuesta enviada | Todavía no ganada
Aberto | Em andamento | Em negociação | Pendente | Proposta enviada | Ainda não ganho
Aperta | In corso | In attesa | Preventivo inviato | Non ancora vinta
Lopend | In behandeling | Offerte verstuurd | Nog niet gewonnen
Otwarta | W toku | Oferta wysłana | Wstrzymane
В работе | Переговоры | Коммерческое предложение | В ожидании | Первичный контакт
進行中 | 商談中 | 保留 | 受注見込 | 未受注 | 受注予定 | 提案/見積 | 契約書送付済み
"""
NEITHER = """
Won: no | Gewonnen: nein | Lost? No
Waiting for signed contract | Awaiting signed order | Customer success | Discovery booked | Order form sent
Offer not yet accepted by legal
En attente du contrat signé | Commande en cours de préparation | Erstgespräch erfolgreich
Warten auf unterschriebenen Vertrag
Negocjacje (Sprzedaż) | Решение принято | Встреча прошла успешно | Bestelling in voorbereiding
Proposal (Lost deals pipeline)
Closed | Closing | CLOSED | Signed NDA | NDA signed | Won? | Lost ? | Win-back campaign | Won back | Winback
Lost contact | Contact lost
Verbal won | Likely lost | Probably won | Almost won | Won/Lost | Won or lost | Meeting cancelled | Cancelled demo
Declined meeting | Signed up | Win rate | Churn risk
Loss review | Unknown | Archived | Duplicate | Customer | Phase 27 | 75% | ✅ | Wonderful | Lostwithiel | Deadline
Q4
Fermée | Clôturé | NDA signé | RDV annulé | Rendez-vous annulé | Contact perdu | Perdu de vue | Gagné ?
Probablement gagné | À signer | Gagné/Perdu | Appel annulé
Geschlossen | Abgeschlossen | Kontakt verloren | Termin abgesagt | Wahrscheinlich gewonnen | Gewonnen/Verloren
NDA unterzeichnet | Auftrag in Aussicht
Cerrado | Contacto perdido | Llamada perdida | Reunión cancelada | Ganado/Perdido | Probablemente ganado | Fechado
Reunião cancelada | Provavelmente ganho
Chiusa | Contatto perso | Appuntamento annullato | Gesloten | Afspraak geannuleerd | Zamknięte | Spotkanie odwołane
Закрыта | Встреча отменена | Контакт потерян
クローズ | 完了 | 受注/失注 | アポキャンセル | 秘密保持契約締結 | 失注見込み
"""


def _texts(table):
    return [text.strip() for line in table.strip().splitlines() for text in line.split(" | ")]


@pytest.mark.parametrize("text", _texts(WON))
def test_won(text):
    assert classify_outcome(text) == "won"


@pytest.mark.parametrize("text", _texts(LOST))
def test_lost(text):
    assert classify_outcome(text) == "lost"


@pytest.mark.parametrize("text", _texts(OPEN))
def test_open(text):
    assert classify_outcome(text) == "open"


@pytest.mark.parametrize("text", _texts(NEITHER))
def test_neither_won_nor_lost(text):
    assert classify_outcome(text) not in ("won", "lost")


def test_nothing_says_nothing():
    assert classify_outcome("") is None
    assert classify_outcome(" - ") is None


@pytest.mark.parametrize("text", _texts(WON) + _texts(LOST))
@pytest.mark.parametrize("change", [str.upper, str.lower, "  {}  ".format, "3 - {}".format, "{} (Pipeline 2)".format])
def test_case_spaces_numbers_and_pipelines_change_nothing(text, change):
    assert classify_outcome(change(text)) == classify_outcome(text)


def test_words_that_are_written_together_are_told_apart_by_their_capitals():
    assert classify_outcome("ClosedWonRenewal") == "won"
    assert classify_outcome("ClosedLostDuplicate") == "lost"


def test_enough_texts_are_labelled():
    assert len(_texts(WON) + _texts(LOST) + _texts(OPEN) + _texts(NEITHER)) >= 350
