/*
 * emergency_words.c
 *	  What is said in an emergency, and how it is denied, in each language; see emergency.h.
 *
 * Phrases are written as people write them and folded where they are looked for; what denies them is
 * folded here.
 */
#include <string.h>

#include "core/text/emergency.h"

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* clang-format off */
static const mb_emergency_language languages[MB_EMERGENCY_LANGUAGES] = {
	{ "en",
	  WORDS("emergency", "urgent", "dying", "bleeding", "poison", "poisoned", "choking", "unconscious", "seizure",
			"can't breathe", "cannot breathe", "can not breathe", "not breathing", "isn't breathing",
			"stopped breathing", "heart attack", "having a stroke", "overdose", "suicide", "kill myself",
			"poisoning", "call an ambulance", "need an ambulance"),
	  WORDS("no", "without", "nobody", "noone", "nothing", "neither", "nor", "hardly"),
	  WORDS("not", "isnt", "wasnt", "arent", "aint", "dont", "doesnt", "didnt", "never", "wont", "hasnt", "havent"),
	  WORDS("a", "an", "any", "the", "real", "true", "medical", "acute", "immediate", "kind", "sort", "of", "such",
			"at", "all", "that", "very", "so", "really", "too", "longer", "more", "one", "is", "was", "are", "been"),
	  WORDS("think", "believe", "say", "saying", "call", "calling", "about", "for", "this", "it", "its", "thats", "he", "she",
			"they", "have", "having", "had", "be", "being", "in"), NULL },
	{ "de",
	  WORDS("Notfall", "Notarzt", "Rettungswagen", "Krankenwagen", "dringend", "lebensgefährlich", "Lebensgefahr", "stirbt",
			"sterbe", "blutet", "verblutet", "vergiftet", "Vergiftung", "erstickt", "ersticke", "bewusstlos", "ohnmächtig",
			"Krampfanfall", "Herzinfarkt", "Schlaganfall", "Überdosis", "Selbstmord", "mich umbringen",
			"bekomme keine Luft", "kriege keine Luft", "bekommt keine Luft", "kriegt keine Luft", "atmet nicht", "zu Hilfe", "Hilfe Hilfe"),
	  WORDS("kein", "keine", "keinen", "keiner", "keinem", "keinerlei", "ohne", "niemand", "weder"),
	  WORDS("nicht", "nie", "niemals"),
	  WORDS("ein", "eine", "einen", "einer", "einem", "der", "die", "das", "echter", "echten", "wirklich", "wirklicher",
			"richtiger", "medizinischer", "so", "sehr", "mehr", "ist"),
	  WORDS("um", "als", "es"), NULL },
	{ "fr",
	  WORDS("urgence", "urgent", "urgente", "au secours", "à l'aide", "mourant", "mourante", "en train de mourir", "saigne",
			"hémorragie", "empoisonné", "empoisonnée", "intoxication", "s'étouffe", "étouffe", "inconscient", "inconsciente",
			"convulsions", "crise cardiaque", "infarctus", "AVC", "overdose", "suicide", "me tuer", "ne respire plus",
			"ne respire pas", "peux pas respirer", "arrive pas à respirer", "ambulance"),
	  WORDS("aucun", "aucune", "sans", "ni"),
	  WORDS("pas", "jamais"),
	  WORDS("un", "une", "l", "d", "de", "la", "le", "vraiment", "vraie", "veritable", "du", "tout", "tres", "si"),
	  WORDS("pour", "forcement"), NULL },
	{ "es",
	  WORDS("emergencia", "urgencia", "urgente", "socorro", "auxilio", "muriendo", "sangrando", "sangra", "hemorragia",
			"envenenado", "envenenada", "intoxicación", "ahogando", "atragantando", "inconsciente", "convulsiones",
			"ataque al corazón", "infarto", "derrame cerebral", "sobredosis", "suicidio", "matarme", "no puedo respirar",
			"no puede respirar", "no respira", "ambulancia"),
	  WORDS("ningun", "ninguna", "sin", "ni", "tampoco"),
	  WORDS("no", "nunca", "jamas"),
	  WORDS("un", "una", "el", "la", "de", "verdadera", "tan", "muy", "realmente"),
	  WORDS("es", "era", "hay", "tengo", "tiene", "esta", "se", "trata"), NULL },
	{ "it",
	  WORDS("emergenza", "urgenza", "urgente", "aiuto aiuto", "soccorso", "sta morendo", "muoio", "sanguina", "emorragia",
			"avvelenato", "avvelenata", "soffoca", "soffocando", "svenuto", "svenuta", "incosciente", "convulsioni", "infarto",
			"ictus", "overdose", "suicidio", "uccidermi", "non respira", "non riesco a respirare", "ambulanza"),
	  WORDS("nessun", "nessuna", "senza", "ne", "neanche"),
	  WORDS("non", "mai"),
	  WORDS("un", "una", "l", "di", "la", "il", "vera", "cosi", "molto", "proprio"),
	  WORDS("e", "era", "ce", "ho", "ha", "si", "tratta"), NULL },
	{ "pt",
	  WORDS("emergência", "urgência", "urgente", "socorro", "morrendo", "a morrer", "sangrando", "a sangrar", "hemorragia",
			"envenenado", "envenenada", "engasgando", "engasgado", "inconsciente", "desmaiou", "convulsão", "infarto",
			"enfarte", "derrame", "overdose", "suicídio", "me matar", "não consigo respirar", "não consegue respirar",
			"não respira", "não está respirando", "ambulância"),
	  WORDS("nenhum", "nenhuma", "sem", "nem"),
	  WORDS("nao", "nunca"),
	  WORDS("um", "uma", "o", "a", "de", "verdadeira", "tao", "muito", "realmente"),
	  WORDS("e", "era", "ha", "tenho", "tem", "esta", "se", "trata"), NULL },
	{ "nl",
	  WORDS("noodgeval", "spoed", "spoedgeval", "dringend", "help help", "stervende", "sterft", "bloedt", "vergiftigd", "stikt",
			"verslikt", "bewusteloos", "toeval", "hartaanval", "beroerte", "overdosis", "zelfmoord", "krijg geen lucht",
			"krijgt geen lucht", "ademt niet", "ambulance"),
	  WORDS("geen", "zonder", "niemand"),
	  WORDS("niet", "nooit"),
	  WORDS("een", "de", "het", "echt", "echte", "zo", "erg", "heel", "is"),
	  WORDS("om", "als"), NULL },
	{ "pl",
	  WORDS("nagły wypadek", "nagły przypadek", "pilne", "pilny", "pomocy", "ratunku", "umiera", "umieram", "krwawi",
			"krwotok", "zatruty", "zatrucie", "dusi się", "duszę się", "nieprzytomny", "nieprzytomna", "drgawki",
			"zawał", "udar", "przedawkowanie", "samobójstwo", "nie oddycha", "nie mogę oddychać", "karetka", "karetkę"),
	  WORDS("bez", "zadne", "zaden", "zadna", "ani"),
	  WORDS("nie", "nigdy"),
	  WORDS("zaden", "zadne", "tak", "bardzo", "naprawde"),
	  WORDS("jest", "to", "byl", "bylo", "ma"), NULL },
	{ "ru",
	  WORDS("экстренный", "экстренная", "чрезвычайная ситуация", "срочно",
			"неотложка", "скорая", "скорую", "спасите", "умирает", "умираю",
			"истекает кровью", "кровотечение", "отравился", "отравилась", "отравление",
			"задыхается", "задыхаюсь", "без сознания", "судороги", "инфаркт", "инсульт",
			"передозировка", "самоубийство",
			"не дышит", "не могу дышать"),
	  WORDS("без", "никакои", "никакая", "нет"),
	  WORDS("не", "никогда"),
	  WORDS("так", "очень", "никакои", "никакая", "совсем"),
	  WORDS("это", "была", "было", "нужна", "нужно"), NULL },
	{ "tr",
	  WORDS("acil", "acil durum", "imdat", "ölüyor", "ölüyorum", "kanıyor", "kanama", "zehirlendi",
			"zehirlendim", "boğuluyor", "boğuluyorum", "bilinci kapalı", "bayıldı", "nöbet geçiriyor", "kalp krizi", "felç",
			"aşırı doz", "intihar", "nefes alamıyorum", "nefes alamıyor", "nefes almıyor", "ambulans"),
	  WORDS("hicbir"), WORDS("hic"), WORDS("bir", "o", "kadar"), WORDS("su"),
	  WORDS("degil", "yok") },
	{ "ko",
	  WORDS("응급", "긴급", "위급", "살려주세요", "살려 주세요", "죽어가", "죽을 것 같", "피를 흘", "출혈",
			"중독", "질식",
			"의식이 없", "의식을 잃", "발작", "심장마비", "뇌졸중", "과다복용", "자살", "숨을 못",
			"숨을 쉬지 않", "숨을 쉬지 못", "숨이 막", "구급차", "119"),
	  WORDS("안"), WORDS("안"), WORDS("전혀"), WORDS("절대"),
	  WORDS("아니", "아닙", "아닌", "않", "없습니다", "없어요") },
	{ "ja",
	  WORDS("緊急", "救急", "助けて", "死にそう", "死んでしまう", "出血", "血が止まらない", "中毒",
			"窒息", "意識がない", "意識不明", "発作", "心臓発作",
			"心筋梗塞", "脳卒中", "過剰摂取", "自殺", "息ができない", "息が出来ない", "呼吸ができない",
			"呼吸していない", "息をしていない"),
	  WORDS("ない"), WORDS("ない"), WORDS("の"), WORDS("は"),
	  WORDS("ではありません", "ではない", "じゃない", "じゃありません") },
	{ "zh",
	  WORDS("紧急", "緊急", "急救", "救命", "救护车", "救護車", "快死了", "要死了", "流血", "出血", "中毒",
			"窒息", "昏迷", "失去意识", "失去意識", "抽搐",
			"心脏病发作", "心臟病發作", "中风", "中風", "服药过量", "自杀", "自殺", "不能呼吸", "无法呼吸",
			"無法呼吸", "没有呼吸", "沒有呼吸"),
	  WORDS("不是", "没有", "沒有"), WORDS("不", "不是", "没有", "沒有", "没", "沒", "并非", "並非", "不算",
			"不太", "不是很", "不是什么", "不是什麼"),
	  WORDS("很"), WORDS("太"), NULL },
};
/* clang-format on */

const mb_emergency_language *
mb_emergency_language_at(int i)
{
	return i >= 0 && i < MB_EMERGENCY_LANGUAGES ? &languages[i] : NULL;
}

const mb_emergency_language *
mb_emergency_language_by_code(const char *code)
{
	for (int i = 0; i < MB_EMERGENCY_LANGUAGES; i++)
	{
		if (strcmp(languages[i].code, code) == 0)
			return &languages[i];
	}
	return NULL;
}
