"""The product's own fixed sentences in an answer, in the reader's language where we have it, else in English."""

from typing import Literal

Phrase = Literal["not_found", "part_not_found", "hello", "thanks", "bye", "no_model", "needs_model"]

NOTICE_MARK = "ℹ️"
"""Stands at the start of the line that says no model is configured, inside a Markdown quote, for the page to style."""

_PHRASES: dict[Phrase, dict[str, str]] = {
    "not_found": {
        "en": "I could not find an answer to this in the documents.",
        "de": "Dazu habe ich in den Dokumenten keine Antwort gefunden.",
        "fr": "Je n'ai pas trouvé de réponse à cette question dans les documents.",
        "es": "No he encontrado una respuesta a esto en los documentos.",
        "pt": "Não encontrei uma resposta para isto nos documentos.",
        "it": "Non ho trovato una risposta a questa domanda nei documenti.",
        "nl": "Ik heb hierop geen antwoord gevonden in de documenten.",
    },
    "part_not_found": {
        "en": "In the documents I could not find an answer to this part:",
        "de": "Auf diesen Teil habe ich in den Dokumenten keine Antwort gefunden:",
        "fr": "Je n'ai pas trouvé dans les documents de réponse à cette partie :",
        "es": "En los documentos no he encontrado una respuesta a esta parte:",
        "pt": "Nos documentos não encontrei uma resposta para esta parte:",
        "it": "Nei documenti non ho trovato una risposta a questa parte:",
        "nl": "Op dit deel heb ik in de documenten geen antwoord gevonden:",
    },
    "hello": {
        "en": "Hello! Ask me a question, and I will look it up in the documents.",
        "de": "Hallo! Stellen Sie mir eine Frage, und ich sehe in den Dokumenten nach.",
        "fr": "Bonjour ! Posez-moi une question et je chercherai dans les documents.",
        "es": "¡Hola! Hágame una pregunta y la buscaré en los documentos.",
        "pt": "Olá! Faça uma pergunta e eu procuro nos documentos.",
        "it": "Ciao! Fammi una domanda e cercherò nei documenti.",
        "nl": "Hallo! Stel een vraag, dan zoek ik het op in de documenten.",
    },
    "thanks": {
        "en": "You're welcome! Is there anything else you would like to know?",
        "de": "Gern geschehen! Möchten Sie noch etwas wissen?",
        "fr": "Je vous en prie ! Souhaitez-vous savoir autre chose ?",
        "es": "¡De nada! ¿Quiere saber algo más?",
        "pt": "De nada! Quer saber mais alguma coisa?",
        "it": "Prego! C'è altro che vorresti sapere?",
        "nl": "Graag gedaan! Wilt u nog iets weten?",
    },
    "bye": {
        "en": "Goodbye! Come back whenever you have a question.",
        "de": "Auf Wiedersehen! Kommen Sie gern wieder, wenn Sie eine Frage haben.",
        "fr": "Au revoir ! Revenez quand vous avez une question.",
        "es": "¡Hasta luego! Vuelva cuando tenga una pregunta.",
        "pt": "Até logo! Volte quando tiver uma pergunta.",
        "it": "Arrivederci! Torna quando hai una domanda.",
        "nl": "Tot ziens! Kom gerust terug als u een vraag hebt.",
    },
    "no_model": {
        "en": "These are sentences quoted from the documents, because no language model is configured. "
        "An administrator can add one under Settings → Models.",
        "de": "Dies sind wörtliche Sätze aus den Dokumenten, denn es ist kein Sprachmodell eingerichtet. "
        "Unter Einstellungen → Modelle (Settings → Models) lässt sich eines hinzufügen.",
        "fr": "Ces phrases sont citées des documents, car aucun modèle de langage n'est configuré. "
        "Un administrateur peut en ajouter un sous Settings → Models.",
        "es": "Son frases citadas de los documentos, porque no hay ningún modelo de lenguaje configurado. "
        "Un administrador puede añadir uno en Settings → Models.",
        "pt": "São frases citadas dos documentos, porque nenhum modelo de linguagem está configurado. "
        "Um administrador pode adicionar um em Settings → Models.",
        "it": "Sono frasi citate dai documenti, perché non è configurato alcun modello linguistico. "
        "Un amministratore può aggiungerne uno in Settings → Models.",
        "nl": "Dit zijn zinnen uit de documenten, want er is geen taalmodel ingesteld. "
        "Een beheerder kan er een toevoegen onder Settings → Models.",
    },
    "needs_model": {
        "en": "I have no documents to quote from and no language model to talk with. Add a knowledge base to this bot, "
        "or configure a language model under Settings → Models.",
        "de": "Ich habe keine Dokumente zum Zitieren und kein Sprachmodell zum Antworten. Fügen Sie diesem Bot eine "
        "Wissensbasis hinzu oder richten Sie unter Einstellungen → Modelle (Settings → Models) ein Sprachmodell ein.",
        "fr": "Je n'ai ni documents à citer ni modèle de langage pour répondre. Ajoutez une base de connaissances à ce "
        "bot ou configurez un modèle sous Settings → Models.",
        "es": "No tengo documentos que citar ni un modelo de lenguaje con el que responder. Añada una base de "
        "conocimiento a este bot o configure un modelo en Settings → Models.",
        "pt": "Não tenho documentos para citar nem um modelo de linguagem para responder. Adicione uma base de "
        "conhecimento a este bot ou configure um modelo em Settings → Models.",
        "it": "Non ho documenti da citare né un modello linguistico con cui rispondere. Aggiungi una base di "
        "conoscenza a questo bot o configura un modello in Settings → Models.",
        "nl": "Ik heb geen documenten om te citeren en geen taalmodel om mee te antwoorden. Voeg een kennisbank aan "
        "deze bot toe of stel een taalmodel in onder Settings → Models.",
    },
}


def phrase(name: Phrase, language: str) -> str:
    """The sentence in the language (ISO 639-1), in English when there is no translation."""
    translations = _PHRASES[name]
    return translations.get(language, translations["en"])


def notice(language: str) -> str:
    """The line under a conversation's first quoted answer, as one Markdown quote that begins with NOTICE_MARK."""
    return f"> {NOTICE_MARK} {phrase('no_model', language)}"
