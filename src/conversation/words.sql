-- The language table of conversations: what asks for more at the end of a text, which words are digits, answers, or mean only "I listen".

CREATE OR REPLACE FUNCTION turn_words() RETURNS TABLE (language text, list text, phrases text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('en', 'open_ends', 'and|or|but|so|because|if|when|that|which|who|than|then|as|to|of|for|with|without|at|in|on|from|by|about|into|'
        'the|a|an|my|your|our|his|her|their|its|this|um|uh|er|erm|hmm|well|like|is|are|was|were|have|has|want|need|i|we|'
        'a question|a quick question|another question|a problem|an issue|a request|ask you something|tell you something|let me see|'
        'let me think|let me check|let me look|one second|one sec|just a second|just a moment|give me a second|give me a moment|'
        'you know|i mean|i think|i guess|i was wondering|the thing is|first of all|for example|the number is|the following'),
    ('en', 'number_words', 'zero|oh|one|two|three|four|five|six|seven|eight|nine'),
    ('en', 'closed_answers', 'yes|yeah|yep|yes please|no|nope|no thanks|no thank you|ok|okay|sure|of course|right|correct|thats right|'
        'please|not really|maybe'),
    ('en', 'backchannels', 'mhm|mm|mm hmm|mmhmm|hmm|uh huh|uhhuh|oh|ah|um|yes|yeah|yep|sure|right|quite|ok|okay|i see|'
        'of course|makes sense|'
        'thats right|got it|really|wow|great|good|fine|alright|all right'),
    ('en', 'always', 'stop|wait|help|hold on|hang on|no|excuse me|one moment|operator'),
    ('en', 'emergency', 'ambulance|heart attack|cannot breathe|cant breathe|choking|stroke|call 911|call 112|call 999|fire|unconscious|'
        'bleeding'),
    ('de', 'open_ends', 'und|oder|aber|weil|dass|wenn|als|ob|zu|zum|zur|von|vom|fur|mit|ohne|bei|im|in|an|am|auf|aus|uber|nach|der|die|'
        'das|den|dem|des|ein|eine|einen|einem|einer|mein|meine|meinen|dein|ihr|ihre|unser|unsere|ah|ahm|also|ich|wir|ist|sind|habe|hatte|'
        'mochte|brauche|eine frage|noch eine frage|ein problem|eine bitte|ein anliegen|etwas fragen|mal sehen|mal schauen|sekunde|'
        'kleinen moment|augenblick|ich glaube|ich denke|ich meine|wissen sie|zum beispiel|und zwar|es geht um|folgendes'),
    ('de', 'number_words', 'null|eins|zwei|zwo|drei|vier|funf|sechs|sieben|acht|neun'),
    ('de', 'closed_answers', 'ja|ja bitte|ja gerne|nein|nein danke|nee|ok|okay|klar|genau|richtig|stimmt|naturlich|gerne|bitte|vielleicht'),
    ('de', 'backchannels', 'mhm|hm|hmm|aha|ach so|ja|jaja|genau|richtig|stimmt|ok|okay|klar|gut|verstehe|naturlich|sicher|ah|oh|alles klar|'
        'in ordnung'),
    ('de', 'always', 'stopp|stop|halt|moment|warte|warten sie|hilfe|nein|entschuldigung'),
    ('de', 'emergency', 'notarzt|krankenwagen|herzinfarkt|schlaganfall|keine luft|feuer|bewusstlos|blutet|erstickt'),
    ('es', 'open_ends', 'y|e|o|u|pero|porque|que|si|cuando|como|a|al|de|del|para|por|con|sin|en|sobre|desde|el|la|los|las|un|una|unos|unas|'
        'mi|mis|tu|su|sus|nuestro|nuestra|eh|pues|es|son|quiero|necesito|yo|una pregunta|otra pregunta|un problema|una consulta|a ver|'
        'dejeme ver|deje que mire|un segundo|un momentito|creo|o sea|es decir|por ejemplo|lo siguiente'),
    ('es', 'number_words', 'cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve'),
    ('es', 'closed_answers', 'si|si|claro|no|no gracias|vale|bueno|de acuerdo|correcto|exacto|por favor|quizas'),
    ('es', 'backchannels', 'aja|mhm|si|si|claro|vale|ya|bien|bueno|de acuerdo|entiendo|ah|oh|exacto|por supuesto'),
    ('es', 'always', 'para|pare|espera|espere|alto|ayuda|no|un momento|perdon'),
    ('es', 'emergency', 'ambulancia|infarto|no respira|no puedo respirar|fuego|incendio|inconsciente|sangrando'),
    ('fr', 'open_ends', 'et|ou|mais|parce que|que|qui|si|quand|comme|a|au|aux|de|du|des|pour|par|avec|sans|en|dans|sur|le|la|'
        'les|un|une|mon|'
        'ma|mes|votre|notre|son|sa|ses|euh|alors|est|sont|je|nous|voudrais|une question|un probleme|une demande|autre question|'
        'attendez voir|voyons|une seconde|une minute|je crois|je pense|c est a dire|par exemple|la chose suivante'),
    ('fr', 'number_words', 'zero|un|deux|trois|quatre|cinq|six|sept|huit|neuf'),
    ('fr', 'closed_answers', 'oui|ouais|oui merci|non|non merci|d accord|ok|bien sur|exactement|voila|s il vous plait|peut-etre'),
    ('fr', 'backchannels', 'mhm|hum|oui|ouais|d accord|ok|ah|oh|bien|bien sur|je vois|voila|exactement|tres bien|entendu'),
    ('fr', 'always', 'stop|arretez|attendez|attends|aidez-moi|au secours|non|un instant|pardon'),
    ('fr', 'emergency', 'ambulance|infarctus|crise cardiaque|ne respire plus|peux plus respirer|feu|incendie|inconscient|saigne')
$$;
COMMENT ON FUNCTION turn_words() IS
    'phrases of each language for the lists of the turn engine, folded as the engine folds them, a bar between (internal). "never" has '
    'none: it is the tenant''s';
