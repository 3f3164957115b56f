#ifndef TEST_AUTHORIZATION_MANAGER_H
#define TEST_AUTHORIZATION_MANAGER_H

#include <QHash>
#include <QRegularExpression>
#include <QString>
#include <QStringList>

class AuthorizationManager{
public:
	// Everybody who has logged in: a token, and what it is for.
	QHash<QString, int> HASH;

	QString LoginUP(const QString &, const QString &user, const QString &){
	  HASH.insert(user+"Token::::user::::"+user, 0);
	  return user+"Token";
	}

	QString hashID(QString token){
	  QStringList tmp = QStringList(HASH.keys()).filter(token+"::::");
	  if(tmp.isEmpty()){ return ""; }
	  return tmp.first();
	}
};

#endif
