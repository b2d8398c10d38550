-- name: there
-- Which parts there are of what `0007_prisma_create.sql` and `add_import_key` make.
SELECT c.relname || '.' || a.attname AS part
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
WHERE
    n.nspname = 'public'
    AND c.relname IN ('CompanyAIModel', 'Question', 'SessionQuestion')
    AND a.attname = 'createdAt'
UNION ALL
SELECT c.relname
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relname = 'SessionImport'
UNION ALL
SELECT k.conname
FROM pg_catalog.pg_constraint AS k
WHERE k.conrelid = 'public."Session"'::regclass AND k.conname = 'Session_importId_fkey';

-- name: others
SELECT p.others_made_here FROM batch_assets.provenance AS p;

-- name: note
UPDATE batch_assets.provenance
SET others_made_here = others_made_here || CAST(:parts AS text[]);

-- name: add_import_key
-- Not for what is there already, which need not fit: see `has_lost_imports`.
ALTER TABLE public."Session"
    ADD CONSTRAINT "Session_importId_fkey" FOREIGN KEY ("importId")
        REFERENCES public."SessionImport" ("id") ON DELETE SET NULL ON UPDATE CASCADE NOT VALID;

-- name: has_lost_imports
SELECT EXISTS (
    SELECT FROM public."Session" AS s
    WHERE
        s."importId" IS NOT NULL
        AND NOT EXISTS (SELECT FROM public."SessionImport" AS i WHERE i."id" = s."importId")
);

-- name: validate_import_key
ALTER TABLE public."Session" VALIDATE CONSTRAINT "Session_importId_fkey";

-- name: has_imports
SELECT EXISTS (SELECT FROM public."SessionImport");

-- name: lock_imports
LOCK TABLE public."SessionImport" IN ACCESS EXCLUSIVE MODE;

-- name: drop_import_key
ALTER TABLE public."Session" DROP CONSTRAINT IF EXISTS "Session_importId_fkey";

-- name: drop_imports
DROP TABLE public."SessionImport";

-- name: drop_company_ai_model_created_at
ALTER TABLE public."CompanyAIModel" DROP COLUMN IF EXISTS "createdAt";

-- name: drop_question_created_at
ALTER TABLE public."Question" DROP COLUMN IF EXISTS "createdAt";

-- name: drop_session_question_created_at
ALTER TABLE public."SessionQuestion" DROP COLUMN IF EXISTS "createdAt";
