-- LiveDash's tables as Prisma makes them, for a database that has none of them. One transaction.
-- A unique of Prisma's is a unique index; "updatedAt" has no default, since every writer sets it.

CREATE TYPE public."CompanyStatus" AS ENUM ('ACTIVE', 'SUSPENDED', 'TRIAL', 'ARCHIVED');
CREATE TYPE public."SentimentCategory" AS ENUM ('POSITIVE', 'NEUTRAL', 'NEGATIVE');
CREATE TYPE public."SessionCategory" AS ENUM (
    'SCHEDULE_HOURS',
    'LEAVE_VACATION',
    'SICK_LEAVE_RECOVERY',
    'SALARY_COMPENSATION',
    'CONTRACT_HOURS',
    'ONBOARDING',
    'OFFBOARDING',
    'WORKWEAR_STAFF_PASS',
    'TEAM_CONTACTS',
    'PERSONAL_QUESTIONS',
    'ACCESS_LOGIN',
    'SOCIAL_QUESTIONS',
    'UNRECOGNIZED_OTHER'
);
CREATE TYPE public."AIRequestStatus" AS ENUM (
    'PENDING_BATCHING',
    'BATCHING_IN_PROGRESS',
    'PROCESSING_COMPLETE',
    'PROCESSING_FAILED'
);
CREATE TYPE public."AIBatchRequestStatus" AS ENUM (
    'PENDING',
    'UPLOADING',
    'VALIDATING',
    'IN_PROGRESS',
    'FINALIZING',
    'COMPLETED',
    'PROCESSED',
    'FAILED',
    'CANCELLED'
);
CREATE TYPE public."ProcessingStage" AS ENUM (
    'CSV_IMPORT',
    'TRANSCRIPT_FETCH',
    'SESSION_CREATION',
    'AI_ANALYSIS',
    'QUESTION_EXTRACTION'
);
CREATE TYPE public."ProcessingStatus" AS ENUM (
    'PENDING',
    'IN_PROGRESS',
    'COMPLETED',
    'FAILED',
    'SKIPPED'
);

CREATE TABLE public."Company" (
    "id" text NOT NULL,
    "name" varchar(255) NOT NULL,
    "status" public."CompanyStatus" NOT NULL DEFAULT 'ACTIVE',
    "csvUrl" text NOT NULL,
    "csvUsername" varchar(255),
    "csvPassword" varchar(255),
    "dashboardOpts" jsonb,
    "maxUsers" integer NOT NULL DEFAULT 10,
    "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamptz(6) NOT NULL,
    CONSTRAINT "Company_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "Company_name_idx" ON public."Company" ("name");
CREATE INDEX "Company_status_idx" ON public."Company" ("status");

CREATE TABLE public."Session" (
    "id" text NOT NULL,
    "companyId" text NOT NULL,
    "importId" text,
    "startTime" timestamptz(6) NOT NULL,
    "endTime" timestamptz(6) NOT NULL,
    "ipAddress" inet,
    "country" varchar(3),
    "fullTranscriptUrl" text,
    "avgResponseTime" real,
    "initialMsg" text,
    "language" varchar(10),
    "messagesSent" integer,
    "sentiment" public."SentimentCategory",
    "escalated" boolean,
    "forwardedHr" boolean,
    "category" public."SessionCategory",
    "summary" text,
    "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamptz(6) NOT NULL,
    CONSTRAINT "Session_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "Session_companyId_fkey" FOREIGN KEY ("companyId")
        REFERENCES public."Company" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "Session_importId_key" ON public."Session" ("importId");
CREATE INDEX "Session_companyId_avgResponseTime_idx"
    ON public."Session" ("companyId", "avgResponseTime");
CREATE INDEX "Session_companyId_category_idx" ON public."Session" ("companyId", "category");
CREATE INDEX "Session_companyId_escalated_idx" ON public."Session" ("companyId", "escalated");
CREATE INDEX "Session_companyId_forwardedHr_idx" ON public."Session" ("companyId", "forwardedHr");
CREATE INDEX "Session_companyId_language_idx" ON public."Session" ("companyId", "language");
CREATE INDEX "Session_companyId_messagesSent_idx" ON public."Session" ("companyId", "messagesSent");
CREATE INDEX "Session_companyId_sentiment_idx" ON public."Session" ("companyId", "sentiment");
CREATE INDEX "Session_companyId_startTime_idx" ON public."Session" ("companyId", "startTime");

CREATE TABLE public."Message" (
    "id" text NOT NULL,
    "sessionId" text NOT NULL,
    "timestamp" timestamptz(6),
    "role" varchar(50) NOT NULL,
    "content" text NOT NULL,
    "order" integer NOT NULL,
    "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Message_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "Message_sessionId_fkey" FOREIGN KEY ("sessionId")
        REFERENCES public."Session" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "Message_sessionId_order_key" ON public."Message" ("sessionId", "order");
CREATE INDEX "Message_sessionId_order_idx" ON public."Message" ("sessionId", "order");
CREATE INDEX "Message_sessionId_role_idx" ON public."Message" ("sessionId", "role");
CREATE INDEX "Message_sessionId_timestamp_idx" ON public."Message" ("sessionId", "timestamp");

CREATE TABLE public."AIBatchRequest" (
    "id" text NOT NULL,
    "companyId" text NOT NULL,
    "openaiBatchId" text NOT NULL,
    "inputFileId" text NOT NULL,
    "outputFileId" text,
    "errorFileId" text,
    "status" public."AIBatchRequestStatus" NOT NULL DEFAULT 'PENDING',
    "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "completedAt" timestamptz(6),
    "processedAt" timestamptz(6),
    CONSTRAINT "AIBatchRequest_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "AIBatchRequest_companyId_fkey" FOREIGN KEY ("companyId")
        REFERENCES public."Company" ("id") ON DELETE RESTRICT ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "AIBatchRequest_openaiBatchId_key" ON public."AIBatchRequest" ("openaiBatchId");
CREATE INDEX "AIBatchRequest_companyId_status_idx"
    ON public."AIBatchRequest" ("companyId", "status");

CREATE TABLE public."AIProcessingRequest" (
    "id" text NOT NULL,
    "sessionId" text NOT NULL,
    "openaiRequestId" varchar(255),
    "model" varchar(100) NOT NULL,
    "serviceTier" varchar(50),
    "systemFingerprint" varchar(255),
    "promptTokens" integer NOT NULL,
    "completionTokens" integer NOT NULL,
    "totalTokens" integer NOT NULL,
    "cachedTokens" integer,
    "audioTokensPrompt" integer,
    "reasoningTokens" integer,
    "audioTokensCompletion" integer,
    "acceptedPredictionTokens" integer,
    "rejectedPredictionTokens" integer,
    "promptTokenCost" real NOT NULL,
    "completionTokenCost" real NOT NULL,
    "totalCostEur" real NOT NULL,
    "processingType" varchar(100) NOT NULL,
    "success" boolean NOT NULL,
    "errorMessage" text,
    "requestedAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "completedAt" timestamptz(6),
    "processingStatus" public."AIRequestStatus" NOT NULL DEFAULT 'PENDING_BATCHING',
    "batchId" text,
    CONSTRAINT "AIProcessingRequest_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "AIProcessingRequest_batchId_fkey" FOREIGN KEY ("batchId")
        REFERENCES public."AIBatchRequest" ("id") ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT "AIProcessingRequest_sessionId_fkey" FOREIGN KEY ("sessionId")
        REFERENCES public."Session" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "AIProcessingRequest_batchId_idx" ON public."AIProcessingRequest" ("batchId");
CREATE INDEX "AIProcessingRequest_model_idx" ON public."AIProcessingRequest" ("model");
CREATE INDEX "AIProcessingRequest_processingStatus_batchId_idx"
    ON public."AIProcessingRequest" ("processingStatus", "batchId");
CREATE INDEX "AIProcessingRequest_processingStatus_idx"
    ON public."AIProcessingRequest" ("processingStatus");
CREATE INDEX "AIProcessingRequest_processingStatus_requestedAt_idx"
    ON public."AIProcessingRequest" ("processingStatus", "requestedAt");
CREATE INDEX "AIProcessingRequest_requestedAt_idx" ON public."AIProcessingRequest" ("requestedAt");
CREATE INDEX "AIProcessingRequest_sessionId_idx" ON public."AIProcessingRequest" ("sessionId");
CREATE INDEX "AIProcessingRequest_sessionId_requestedAt_idx"
    ON public."AIProcessingRequest" ("sessionId", "requestedAt");
CREATE INDEX "AIProcessingRequest_success_requestedAt_idx"
    ON public."AIProcessingRequest" ("success", "requestedAt");

CREATE TABLE public."AIModel" (
    "id" text NOT NULL,
    "name" varchar(100) NOT NULL,
    "provider" varchar(50) NOT NULL,
    "maxTokens" integer,
    "isActive" boolean NOT NULL DEFAULT true,
    "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamptz(6) NOT NULL,
    CONSTRAINT "AIModel_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "AIModel_name_key" ON public."AIModel" ("name");

CREATE TABLE public."AIModelPricing" (
    "id" text NOT NULL,
    "aiModelId" text NOT NULL,
    "promptTokenCost" real NOT NULL,
    "completionTokenCost" real NOT NULL,
    "effectiveFrom" timestamptz(6) NOT NULL,
    "effectiveUntil" timestamptz(6),
    "createdAt" timestamptz(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "AIModelPricing_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "AIModelPricing_aiModelId_fkey" FOREIGN KEY ("aiModelId")
        REFERENCES public."AIModel" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE public."CompanyAIModel" (
    "id" text NOT NULL,
    "companyId" text NOT NULL,
    "aiModelId" text NOT NULL,
    "isDefault" boolean NOT NULL DEFAULT false,
    CONSTRAINT "CompanyAIModel_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "CompanyAIModel_companyId_fkey" FOREIGN KEY ("companyId")
        REFERENCES public."Company" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "CompanyAIModel_aiModelId_fkey" FOREIGN KEY ("aiModelId")
        REFERENCES public."AIModel" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "CompanyAIModel_companyId_aiModelId_key"
    ON public."CompanyAIModel" ("companyId", "aiModelId");

CREATE TABLE public."SessionProcessingStatus" (
    "id" text NOT NULL,
    "sessionId" text NOT NULL,
    "stage" public."ProcessingStage" NOT NULL,
    "status" public."ProcessingStatus" NOT NULL DEFAULT 'PENDING',
    "startedAt" timestamptz(6),
    "completedAt" timestamptz(6),
    "errorMessage" text,
    "retryCount" integer NOT NULL DEFAULT 0,
    "metadata" jsonb,
    CONSTRAINT "SessionProcessingStatus_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "SessionProcessingStatus_sessionId_fkey" FOREIGN KEY ("sessionId")
        REFERENCES public."Session" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "SessionProcessingStatus_sessionId_stage_key"
    ON public."SessionProcessingStatus" ("sessionId", "stage");

CREATE TABLE public."Question" (
    "id" text NOT NULL,
    "content" text NOT NULL,
    CONSTRAINT "Question_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "Question_content_key" ON public."Question" ("content");

CREATE TABLE public."SessionQuestion" (
    "id" text NOT NULL,
    "sessionId" text NOT NULL,
    "questionId" text NOT NULL,
    "order" integer NOT NULL,
    CONSTRAINT "SessionQuestion_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "SessionQuestion_sessionId_fkey" FOREIGN KEY ("sessionId")
        REFERENCES public."Session" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "SessionQuestion_questionId_fkey" FOREIGN KEY ("questionId")
        REFERENCES public."Question" ("id") ON DELETE RESTRICT ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "SessionQuestion_sessionId_order_key"
    ON public."SessionQuestion" ("sessionId", "order");
CREATE UNIQUE INDEX "SessionQuestion_sessionId_questionId_key"
    ON public."SessionQuestion" ("sessionId", "questionId");
