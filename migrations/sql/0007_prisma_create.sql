-- What Prisma's push makes of LiveDash's tables beyond what the pipeline touches, for tables that the
-- first migration made. Prisma may have been there meanwhile: what is there stays.

ALTER TABLE public."CompanyAIModel"
    ADD COLUMN IF NOT EXISTS "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP;
ALTER TABLE public."Question"
    ADD COLUMN IF NOT EXISTS "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP;
ALTER TABLE public."SessionQuestion"
    ADD COLUMN IF NOT EXISTS "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS public."SessionImport" (
    "id" text NOT NULL,
    "companyId" text NOT NULL,
    "externalSessionId" text NOT NULL,
    "startTimeRaw" varchar(255) NOT NULL,
    "endTimeRaw" varchar(255) NOT NULL,
    "ipAddress" varchar(45),
    "countryCode" varchar(3),
    "language" varchar(10),
    "messagesSent" integer,
    "sentimentRaw" varchar(50),
    "escalatedRaw" varchar(50),
    "forwardedHrRaw" varchar(50),
    "fullTranscriptUrl" text,
    "avgResponseTimeSeconds" real,
    "tokens" integer,
    "tokensEur" real,
    "category" varchar(255),
    "initialMessage" text,
    "rawTranscriptContent" text,
    "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "SessionImport_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "SessionImport_companyId_fkey" FOREIGN KEY ("companyId")
        REFERENCES public."Company" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS "SessionImport_companyId_externalSessionId_key"
    ON public."SessionImport" ("companyId", "externalSessionId");
CREATE INDEX IF NOT EXISTS "SessionImport_companyId_createdAt_idx"
    ON public."SessionImport" ("companyId", "createdAt");
CREATE INDEX IF NOT EXISTS "SessionImport_companyId_idx" ON public."SessionImport" ("companyId");
